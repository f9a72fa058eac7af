package inventory

import "testing"

// TestUnreadIsNotDamaged: a store that is set aside because its disk did not
// answer would be lost for nothing.
func TestUnreadIsNotDamaged(t *testing.T) {
	for text, want := range map[string]bool{
		"*** in database main *** Tree 16 page 113: unable to get the page. error code=8458": true,
		"Tree 16 page 113: unable to get the page. error code=10":                            true,
		"Tree 16 page 113: btreeInitPage() returns error code 11":                            false,
		"Tree 16 page 113: unable to get the page. error code=11":                            false,
		"row 3 missing from index x":                                                         false,
	} {
		code := errorCode.FindStringSubmatch(text)
		if got := code != nil && isDevice(code[1]); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
