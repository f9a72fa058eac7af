//go:build !faultpoints

package fault

// Enabled tells whether the points were compiled in.
const Enabled = false

// Point does nothing in this build.
func Point(string) {}

// Armed is always false in this build.
func Armed(string) bool { return false }
