package event

import _ "embed"

// JSONSchema describes the event object in JSON Schema, draft 2020-12. It names
// every field and forbids none beside them, as fields may be added.
//
//go:embed schema.json
var JSONSchema []byte
