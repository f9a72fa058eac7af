package emit

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sonde/daemon/internal/event"
)

// journald is a socket that reads the native protocol, as its specification
// says: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/.
type journald struct {
	t    *testing.T
	conn *net.UnixConn
}

func newJournald(t *testing.T, path string) *journald {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &journald{t, conn}
}

// read gives the fields of the next entry, and whether it came as a file.
func (j *journald) read() (fields map[string][]string, file bool) {
	j.t.Helper()
	data, oob := make([]byte, 1<<20), make([]byte, 1<<10)
	j.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, oobn, _, _, err := j.conn.ReadMsgUnix(data, oob)
	if err != nil {
		j.t.Fatal(err)
	}
	data = data[:n]
	if oobn > 0 {
		data, file = j.fromFile(oob[:oobn]), true
	}
	fields = map[string][]string{}
	for len(data) > 0 {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			j.t.Fatalf("no line end in %q", data)
		}
		name, value, short := strings.Cut(string(line), "=")
		if !short {
			size := binary.LittleEndian.Uint64(rest)
			value = string(rest[8 : 8+size])
			if rest[8+size] != '\n' {
				j.t.Fatalf("no line end after %s", name)
			}
			rest = rest[8+size+1:]
		}
		if strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" || name == "" || name[0] == '_' {
			j.t.Fatalf("field name %q", name)
		}
		fields[name] = append(fields[name], value)
		data = rest
	}
	return fields, file
}

// fromFile reads an entry from a file in memory, which journald takes only when
// it is sealed.
func (j *journald) fromFile(oob []byte) []byte {
	j.t.Helper()
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		j.t.Fatal(err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		j.t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[0]), "entry")
	defer f.Close()
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	const want = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if err != nil || seals != want {
		j.t.Errorf("seals %#x, %v, want %#x", seals, err, want)
	}
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 64<<20))
	if err != nil {
		j.t.Fatal(err)
	}
	return data
}

func TestJournalFields(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	s := NewJournal(path)
	defer s.Close()
	if n, err := s.Deliver(t.Context(), records(1, 1)); n != 0 || err == nil {
		t.Fatalf("delivered %d without a journald, %v", n, err)
	}
	j := newJournald(t, path)
	r := sample(9, event.ServiceChanged)
	if n, err := s.Deliver(t.Context(), []Record{r}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	fields, _ := j.read()
	for name, want := range map[string]string{"MESSAGE": "event 9", "PRIORITY": "4", "SYSLOG_IDENTIFIER": "sonde",
		"SONDE_ID": r.Event.ID, "SONDE_SEQ": "9", "SONDE_ACTION": "service.changed", "SONDE_ADDR": "192.0.2.7",
		"SONDE_PORT": "443", "SONDE_PRODUCT": "nginx", "SONDE_PREVIOUS_PRODUCT": "Apache httpd",
		"SONDE_WATCH": "office", "SONDE_EVENT": string(r.JSON)} {
		if got := fields[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestJournalAttacks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	s := NewJournal(path)
	defer s.Close()
	j := newJournald(t, path)
	files := 0
	for name, text := range corpus {
		r := attack(text)
		if n, err := s.Deliver(t.Context(), []Record{r}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		fields, file := j.read()
		if file {
			files++
		}
		for field, values := range fields {
			if len(values) != 1 {
				t.Errorf("%s: %s has %d values", name, field, len(values))
			}
			harmless(t, name+" "+field, []byte(values[0]))
		}
		if fields["PRIORITY"][0] != "4" || fields["SONDE_SEQ"][0] != "77" || !json.Valid([]byte(fields["SONDE_EVENT"][0])) {
			t.Errorf("%s: read as %.100q", name, fields)
		}
	}
	if files == 0 {
		t.Error("none of 64 KiB in each field was sent as a file")
	}
}

func TestJournalComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	s := NewJournal(path)
	defer s.Close()
	for seq := int64(1); seq <= 2; seq++ { // journald is restarted in between
		j := newJournald(t, path)
		if n, err := s.Deliver(t.Context(), records(seq, seq)); n != 1 || err != nil {
			t.Fatalf("start %d: %d, %v", seq, n, err)
		}
		j.read()
		j.conn.Close()
		os.Remove(path)
	}
}
