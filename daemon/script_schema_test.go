//go:build unix

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sonde/daemon/internal/event"
)

// strictSchema is the shipped schema, made to refuse what it does not name.
func strictSchema() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(event.JSONSchema))
	if err != nil {
		return nil, err
	}
	root := doc.(map[string]any)
	root["additionalProperties"] = false
	sensor := root["properties"].(map[string]any)["sensor"].(map[string]any)
	sensor["additionalProperties"] = false
	for _, d := range root["$defs"].(map[string]any) {
		d.(map[string]any)["additionalProperties"] = false
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("event.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("event.json")
}

// validateLines demands of each line but the headers that the strict schema
// takes it, and gives their number.
func validateLines(text string, fail func(line string, err error)) (n int) {
	schema, err := strictSchema()
	if err != nil {
		fail("the schema", err)
		return 0
	}
	for line := range strings.Lines(text) {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			fail(line, err)
			continue
		}
		if v.(map[string]any)["action"] == "file.header" {
			continue
		}
		n++
		if err := schema.Validate(v); err != nil {
			fail(line, err)
		}
	}
	return n
}

// cmdValid demands that a file has events, and that all are as the schema says:
//
//	valid events.json
func cmdValid(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: valid FILE")
	}
	n := validateLines(ts.ReadFile(args[0]), func(line string, err error) { ts.Fatalf("%s: %v", line, err) })
	if n == 0 {
		ts.Fatalf("no events in %s", args[0])
	}
}

func TestStrictSchemaRefusesUnknownFields(t *testing.T) {
	refused := false
	validateLines(`{"schema":"sonde/1","colour":"red"}`, func(string, error) { refused = true })
	if !refused {
		t.Error("an unknown field passes")
	}
}
