package inventory

import (
	"context"
	"database/sql"
	"fmt"
)

// quickCheck looks for damage of the file's structure, at about 500 MiB per
// second: what an unclean end could have left.
func quickCheck(ctx context.Context, c *sql.Conn) error {
	return checkWith(ctx, c, "pragma quick_check(1)")
}

// checkAll also holds indexes against tables and references against what they
// refer to. It takes minutes for a store of a million services.
func checkAll(ctx context.Context, c *sql.Conn) error {
	if err := checkWith(ctx, c, "pragma integrity_check(1)"); err != nil {
		return err
	}
	var n int
	if err := c.QueryRowContext(ctx, "select count(*) from pragma_foreign_key_check").Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("%w: %d rows refer to nothing", ErrCorrupt, n)
	}
	return nil
}

func checkWith(ctx context.Context, c *sql.Conn, pragma string) error {
	var result string
	if err := c.QueryRowContext(ctx, pragma).Scan(&result); err != nil {
		return err
	}
	if result != "ok" {
		return fmt.Errorf("%w: %s", ErrCorrupt, result)
	}
	return nil
}
