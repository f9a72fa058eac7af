package probes

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sonde/match"
	"sonde/probes/grammar"
)

func TestParseExamples(t *testing.T) {
	const text = `# about
== ssh.openssh
# a comment in a block
probe: tcp NULL
source: Debian 12 openssh-server 1:9.2p1-2+deb12u3
answer: "SSH-2.0-"
answer: "OpenSSH\x00\xff\r\n"
service: ssh
product: OpenSSH
version: 9.2p1
info: protocol 2.0: yes
hostname: h
os: Linux
device: NAS
cpe: cpe:/a:openbsd:openssh:9.2p1
cpe: cpe:/o:linux:linux_kernel

== b.probes:7
probe: udp DNS
source: constructed
answer: ""
service: domain
soft: true
outcome: blocked
`
	got, err := ParseExamples("x", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []Example{
		{
			Pos: match.Position{File: "x", Line: 2}, Rule: "ssh.openssh", Transport: TCP, Probe: "NULL",
			Source: "Debian 12 openssh-server 1:9.2p1-2+deb12u3",
			Answer: []byte("SSH-2.0-OpenSSH\x00\xff\r\n"),
			Want: match.Identity{
				Service: "ssh", Product: "OpenSSH", Version: "9.2p1", Info: "protocol 2.0: yes",
				Hostname: "h", OS: "Linux", Device: "NAS",
				CPE: []string{"cpe:/a:openbsd:openssh:9.2p1", "cpe:/o:linux:linux_kernel"},
			},
		},
		{
			Pos: match.Position{File: "x", Line: 18}, Rule: "b.probes:7", Transport: UDP, Probe: "DNS",
			Source: "constructed", Want: match.Identity{Service: "domain"}, Soft: true, Blocked: true,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseExamplesMistakes(t *testing.T) {
	const good = "== r\nprobe: tcp A\nsource: s\nanswer: \"a\"\nservice: x\n"
	tests := []struct{ name, text, at, reason string }{
		{"outside", "probe: tcp A\n", "1:1", "outside a block"},
		{"no rule", "==  \n" + good[5:], "1:5", "name of the rule"},
		{"no colon", good + "product\n", "6:1", "key: value"},
		{"no value", good + "product: \n", "6:10", "value is missing"},
		{"twice", good + "service: y\n", "6:1", "second"},
		{"unknown key", good + "vendor: y\n", "6:1", "unknown key"},
		{"transport", strings.Replace(good, "tcp", "TCP", 1), "2:8", "want tcp or udp"},
		{"no probe name", strings.Replace(good, "tcp A", "tcp", 1), "2:8", "want tcp or udp"},
		{"bare answer", strings.Replace(good, `"a"`, `a`, 1), "4:9", "double quotes"},
		{"back quotes", strings.Replace(good, `"a"`, "`a`", 1), "4:9", "double quotes"},
		{"bad escape", strings.Replace(good, `"a"`, `"\xg0"`, 1), "4:9", "Go's syntax"},
		{"outcome", good + "outcome: held\n", "6:10", "want blocked"},
		{"soft", good + "soft: false\n", "6:7", "want true"},
		{"line missing", strings.Replace(good, "source: s\n", "", 1), "1", "source:"},
		{"blank inside", good + "\nos: Linux\n", "7:1", "outside a block"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseExamples("f", []byte(tt.text))
			var list grammar.Errors
			if !errors.As(err, &list) || len(list) != 1 {
				t.Fatalf("want one error, got:\n%v", err)
			}
			if got := list[0].Pos.String(); got != "f:"+tt.at || !strings.Contains(list[0].Reason, tt.reason) {
				t.Errorf("got %v, want f:%s and %q", list[0], tt.at, tt.reason)
			}
		})
	}
	list, err := ParseExamples("f", []byte("== bad\nwhat: ever\n\n"+good+"\n== also bad\n"))
	if len(list) != 1 || list[0].Rule != "r" || err == nil {
		t.Errorf("kept %v, %v", list, err)
	}
}

func TestRunExamples(t *testing.T) {
	db := mustLoad(t, `Probe TCP NULL q||
# id: general
softmatch ftp m|^220 |
# id: hidden
match ftp m|^220 ProFTPD (\d)| p/ProFTPD/ v/$1/
# id: ssh
match ssh m|^SSH-(\d)| p/OpenSSH/ v/$1/ cpe:/a:o:ssh:$1/
# id: refuses
# outcome: blocked
match ftp m|^421|
# id: shown-by-nothing
match x m|^x|
`)
	block := func(rule, answer, rest string) string {
		return "== " + rule + "\nprobe: tcp NULL\nsource: s\nanswer: \"" + answer + "\"\n" + rest + "\n\n"
	}
	text := block("ssh", "SSH-2", "service: ssh\nproduct: OpenSSH\nversion: 2\ncpe: cpe:/a:o:ssh:2") +
		block("general", "220 x", "service: ftp\nsoft: true") +
		block("general", "220 x", "service: ftp") +
		block("hidden", "220 ProFTPD 1", "service: ftp\nproduct: ProFTPD\nversion: 1") +
		block("ssh", "SSH-2", "service: ssh\nproduct: openssh\nos: Linux") +
		block("ssh", "nothing", "service: ssh") +
		block("no-such", "SSH-2", "service: ssh") +
		strings.Replace(block("ssh", "SSH-2", "service: ssh"), "tcp NULL", "udp NULL", 1) +
		block("refuses", "421", "service: ftp\noutcome: blocked") +
		block("refuses", "421", "service: ftp")
	examples, err := ParseExamples("e", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var got [][]string
	for _, f := range RunExamples(db, examples) {
		got = append(got, append([]string{f.Example.Pos.String()}, f.Reasons...))
	}
	want := [][]string{
		{"e:17", "soft is true, want false"},
		{"e:23", "won by general (a:3): ftp"},
		{"e:31", `product is "OpenSSH", want "openssh"`, `version is "2", want ""`, `os is "", want "Linux"`,
			`cpe is ["cpe:/a:o:ssh:2"], want []`},
		{"e:39", "no rule matches"},
		{"e:45", "won by ssh (a:7): ssh OpenSSH 2", "there is no such rule that is searched"},
		{"e:51", "there is no probe udp NULL"},
		{"e:64", "blocked is true, want false"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var bare []string
	for _, r := range WithoutExample(db, examples) {
		bare = append(bare, r.Name())
	}
	if diff := cmp.Diff([]string{"shown-by-nothing"}, bare); diff != "" {
		t.Errorf("rules without example (-want +got):\n%s", diff)
	}
}

func FuzzParseExamples(f *testing.F) {
	f.Add([]byte("== r\nprobe: tcp A\nsource: s\nanswer: \"a\\x00\"\nservice: x\nsoft: true\n\n# c\n== q\n"))
	f.Add([]byte("x: y\n==\n== \nanswer: \"\nanswer:\ncpe: a\ncpe: b\n: \n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseExamples("f", data)
		for _, e := range list {
			if e.Rule == "" || e.Probe == "" || e.Source == "" || e.Want.Service == "" {
				t.Fatalf("incomplete example without a complaint: %+v", e)
			}
		}
		if blocks := strings.Count("\n"+string(data), "\n== "); len(list) < blocks && err == nil {
			t.Fatalf("%d examples of %d blocks and no error", len(list), blocks)
		}
	})
}
