//go:build bench

package probebench

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sonde/probes"
)

// gradeEach runs the lab's own grader as a module, so that each endpoint's
// grade can be told, which it prints in part only. The grader's last line is
// its call of main.
const gradeEach = `
import json, sys
text = open(sys.argv[1]).read().rstrip()
assert text.endswith("\nmain()")
exec(compile(text[:-len("main()")], sys.argv[1], "exec"))
found = read(sys.argv[2])
out = []
for t in json.load(open(TRUTH)):
    g = grade(t, found.get((t["addr"], t["port"], t["proto"])))
    out.append(dict(box=t["box"], addr=t["addr"], port=t["port"], proto=t["proto"],
                    service=g[0], product=g[1], version=g[2] if t["version_on_wire"] else ""))
print(json.dumps(out))
`

// A grade of one endpoint says right, wrong, none or vague of each field. The
// version is "" where the wire does not show it.
type grade struct {
	Box       string
	Addr      netip.Addr
	Port      uint16
	Transport probes.Transport `json:"proto"`
	Service   string
	Product   string
	Version   string
}

func (g *grade) key() key { return key{g.Addr, g.Port, g.Transport} }

// fields in the order in which totals count them.
func (g *grade) fields() [3]string { return [3]string{g.Service, g.Product, g.Version} }

// A graded is the grades of a whole scan.
type graded struct {
	each                                map[key]grade
	services, products, versions, wrong int // right ones, and wrong fields of any kind
}

// gradeScan grades what sonde or the reference scanner wrote to path.
func gradeScan(t testing.TB, path string) graded {
	t.Helper()
	script := shared(t, "lab/grade.py")
	cmd := exec.Command("python3", "-c", gradeEach, script, path)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("grade %s: %v", path, err)
	}
	var list []grade
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}
	sum := graded{each: map[key]grade{}}
	for _, g := range list {
		sum.each[g.key()] = g
		for i, f := range g.fields() {
			switch {
			case f == "wrong":
				sum.wrong++
			case f == "right":
				*[]*int{&sum.services, &sum.products, &sum.versions}[i]++
			}
		}
	}
	for _, p := range []string{"tcp", "udp"} { // the grader's own words, for people
		t.Logf("%s %s", filepath.Base(path), run(t, "python3", script, "-p", p, path))
	}
	return sum
}

// beats reports whether more services, products and versions are right.
func (g graded) beats(other graded) bool {
	return g.services > other.services && g.products > other.products && g.versions > other.versions
}

// worseThan lists what is wrong here and right there.
func (g graded) worseThan(other graded) []string {
	var out []string
	for k, mine := range g.each {
		g := other.each[k]
		theirs := g.fields()
		for i, f := range mine.fields() {
			if f == "wrong" && theirs[i] == "right" {
				out = append(out, mine.Box+" "+k.String()+" "+[]string{"service", "product", "version"}[i])
			}
		}
	}
	return out
}
