package inventory

import (
	"context"
	"database/sql"
	"fmt"

	"sonde/daemon/internal/fault"
)

// schemaVersion is what this program writes, kept in SQLite's user_version.
const schemaVersion = len(migrations)

// migrations[n] leads from version n to n+1.
var migrations = [...]string{schema1, schema2, schema3, schema4}

// applicationID marks the file as ours: "Sond".
const applicationID = 0x536f6e64

// migrate brings the file to schemaVersion, each step in a transaction. Before
// the first it makes a backup of what is there.
func migrate(ctx context.Context, c *sql.Conn, path string) error {
	version, err := pragmaInt(ctx, c, "user_version")
	if err != nil {
		return err
	}
	if version > schemaVersion {
		return fmt.Errorf("%w: its schema is %d, this program knows %d",
			ErrNewerSchema, version, schemaVersion)
	}
	if version > 0 && version < schemaVersion {
		if err := isOurs(ctx, c); err != nil {
			return err
		}
		if err := backup(ctx, c, backupPath(path, version)); err != nil {
			return fmt.Errorf("back up schema %d: %w", version, err)
		}
	}
	for v := version; v < schemaVersion; v++ {
		if err := step(ctx, c, v); err != nil {
			return fmt.Errorf("schema %d to %d: %w", v, v+1, err)
		}
	}
	return isOurs(ctx, c)
}

// step leads from version v to the next, wholly or not at all.
func step(ctx context.Context, c *sql.Conn, v int) error {
	fault.Point("store.migrate.before")
	text := fmt.Sprintf("begin immediate;%s\npragma application_id = %d;\npragma user_version = %d;",
		migrations[v], applicationID, v+1)
	_, err := c.ExecContext(ctx, text)
	if err == nil {
		fault.Point("store.migrate.commit")
		_, err = c.ExecContext(ctx, "commit")
	}
	if err != nil {
		_, _ = c.ExecContext(ctx, "rollback")
		return err
	}
	fault.Point("store.migrate.after")
	return nil
}

func isOurs(ctx context.Context, c *sql.Conn) error {
	id, err := pragmaInt(ctx, c, "application_id")
	if err == nil && id != applicationID {
		err = fmt.Errorf("%w: %w", ErrCorrupt, ErrForeign)
	}
	return err
}

func pragmaInt(ctx context.Context, c *sql.Conn, name string) (n int, err error) {
	err = c.QueryRowContext(ctx, "pragma "+name).Scan(&n)
	return n, err
}
