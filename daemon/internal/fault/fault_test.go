package fault

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestNamesAreUsed holds the list and the program together: a point that is
// listed but never passed would make a crash test that cannot fail.
func TestNamesAreUsed(t *testing.T) {
	call := regexp.MustCompile(`fault\.Point\("([^"]*)"\)`)
	ofEachSink := regexp.MustCompile(`fault\.Point\(kind \+ "([^"]*)"\)`)
	used := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range call.FindAllSubmatch(text, -1) {
			used[string(m[1])] = true
		}
		for _, m := range ofEachSink.FindAllSubmatch(text, -1) {
			for _, sink := range []string{"json", "syslog"} {
				used[sink+string(m[1])] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		if !used[name] {
			t.Errorf("%s is listed, but the program never passes it", name)
		}
		delete(used, name)
	}
	for name := range used {
		t.Errorf("%s is passed, but not listed", name)
	}
	if sorted := slices.Sorted(slices.Values(Names())); len(slices.Compact(sorted)) != len(Names()) {
		t.Error("a name is listed twice")
	}
	if len(Names()) < 20 {
		t.Errorf("%d points, want 20 at least", len(Names()))
	}
}
