package rpc

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// words writes 32-bit numbers.
func words(vs ...uint32) []byte { return appendUint32(nil, vs...) }

func TestAppendCall(t *testing.T) {
	got := AppendRecord(nil, AppendCall(nil, Call{XID: 0x534f4e44, Program: 100000, Version: 99}))
	want := []byte("\x80\x00\x00\x28" + // one fragment, the last, of 40 bytes
		"SOND\x00\x00\x00\x00\x00\x00\x00\x02" + // xid, call, RPC version 2
		"\x00\x01\x86\xa0\x00\x00\x00c\x00\x00\x00\x00" + // program, version, procedure
		"\x00\x00\x00\x00\x00\x00\x00\x00" + // no credentials
		"\x00\x00\x00\x00\x00\x00\x00\x00") // no verifier
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestParseReply(t *testing.T) {
	for _, c := range []struct {
		name string
		msg  []byte
		want Reply
		err  string
	}{
		{"success", words(7, 1, 0, 0, 0, 0, 42), Reply{XID: 7, Results: words(42)}, ""},
		{"unavailable", words(7, 1, 0, 0, 0, 1), Reply{XID: 7, Status: ProgramUnavailable}, ""},
		{"mismatch", words(7, 1, 0, 0, 0, 2, 2, 4), Reply{XID: 7, Status: ProgramMismatch, Low: 2, High: 4}, ""},
		{"procedure", words(7, 1, 0, 0, 0, 3), Reply{XID: 7, Status: ProcedureUnavailable}, ""},
		{"garbage", words(7, 1, 0, 0, 0, 4), Reply{XID: 7, Status: GarbageArguments}, ""},
		{"system", words(7, 1, 0, 0, 0, 5), Reply{XID: 7, Status: SystemError}, ""},
		{"verifier", words(7, 1, 0, 6, 5, 0xaaaaaaaa, 0xbb000000, 1),
			Reply{XID: 7, Status: ProgramUnavailable}, ""},
		{"rpc version", words(7, 1, 1, 0, 3, 4), Reply{XID: 7, Status: VersionDenied, Low: 3, High: 4}, ""},
		{"auth", words(7, 1, 1, 1, 5), Reply{XID: 7, Status: AuthDenied, Auth: 5}, ""},
		{"a call", words(7, 0, 2, 100000, 2, 0, 0, 0, 0, 0), Reply{}, "message of type 0"},
		{"reply status", words(7, 1, 2), Reply{}, "reply status 2"},
		{"accept status", words(7, 1, 0, 0, 0, 6), Reply{}, "accept status 6"},
		{"reject status", words(7, 1, 1, 2), Reply{}, "reject status 2"},
		{"long verifier", words(7, 1, 0, 0, 401), Reply{}, "data of 401 bytes, limit 400"},
		{"huge verifier", words(7, 1, 0, 0, 0xffffffff), Reply{}, "limit 400"},
		{"cut verifier", words(7, 1, 0, 0, 8, 1), Reply{}, "too short"},
		{"cut mismatch", words(7, 1, 0, 0, 0, 2, 2), Reply{}, "too short"},
		{"empty", nil, Reply{}, "too short"},
	} {
		got, err := ParseReply(c.msg)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, diff)
		}
		if (c.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		}
	}
}

func TestRecords(t *testing.T) {
	stream := AppendRecord(nil, []byte("one"))
	stream = append(stream, words(2)...) // a fragment of two bytes, more follow
	stream = append(stream, "tw"...)
	stream = append(stream, words(lastFragment|1)...)
	stream = append(stream, "o"...)
	stream = AppendRecord(stream, nil)
	for size := 1; size <= len(stream); size++ {
		var r Records
		var got []string
		for at := 0; at < len(stream); at += size {
			if err := r.Feed(stream[at:min(at+size, len(stream))], func(msg []byte) {
				got = append(got, string(msg))
			}); err != nil {
				t.Fatalf("segments of %d: %v", size, err)
			}
		}
		if diff := cmp.Diff([]string{"one", "two", ""}, got); diff != "" {
			t.Errorf("segments of %d: (-want +got)\n%s", size, diff)
		}
		if r.Partial() {
			t.Errorf("segments of %d: partial at the end of a record", size)
		}
	}
}

func TestRecordsLimits(t *testing.T) {
	fragment := append(words(4), "four"...)
	for _, c := range []struct {
		name   string
		stream []byte
		want   error
	}{
		{"too long at once", words(lastFragment | (MaxRecord + 1)), ErrRecordTooLong},
		{"too long together", append(append([]byte{}, fragment...), words(MaxRecord-3)...), ErrRecordTooLong},
		{"too many fragments", bytes.Repeat(fragment, MaxFragments+1), ErrTooManyFragments},
		{"empty fragment", words(0), ErrEmptyFragment},
		{"longest", words(lastFragment | MaxRecord), nil},
		{"text", []byte("HTTP/1.1 400 Bad Request\r\n"), ErrRecordTooLong},
	} {
		var r Records
		none := func([]byte) { t.Errorf("%s: a message", c.name) }
		if err := r.Feed(c.stream, none); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
		if err := r.Feed(AppendRecord(nil, []byte("more")), func([]byte) {
			if c.want != nil {
				t.Errorf("%s: a message after the error", c.name)
			}
		}); !errors.Is(err, c.want) {
			t.Errorf("%s: the error did not stay: %v", c.name, err)
		}
	}
}

func TestRecordsPartial(t *testing.T) {
	var r Records
	for i, b := range AppendRecord(nil, []byte("abc")) {
		if got, want := r.Partial(), i > 0; got != want {
			t.Errorf("before byte %d: partial %v, want %v", i, got, want)
		}
		if err := r.Feed([]byte{b}, func([]byte) {}); err != nil {
			t.Fatal(err)
		}
	}
	if r.Partial() {
		t.Error("partial after the record")
	}
}

// FuzzRecords checks that cuts do not matter, and that nothing is held beyond
// the limit.
func FuzzRecords(f *testing.F) {
	f.Add(AppendRecord(AppendRecord(nil, []byte("one")), words(7, 1, 0, 0, 0, 1)), uint16(5))
	f.Add(append(words(2), "tw\x80\x00\x00\x01o"...), uint16(3))
	f.Add(words(0, 0), uint16(1))
	f.Add([]byte("SSH-2.0-x\r\n"), uint16(4))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16) {
		at := min(int(cut), len(stream))
		whole, wholeErr := collect(stream)
		parts, partsErr := collect(stream[:at], stream[at:])
		if diff := cmp.Diff(whole, parts); diff != "" || !errors.Is(partsErr, wholeErr) {
			t.Errorf("cut at %d: errors %v, %v; (-whole +cut)\n%s", at, wholeErr, partsErr, diff)
		}
		for _, msg := range whole {
			if len(msg) > MaxRecord {
				t.Errorf("message of %d bytes", len(msg))
			}
			_, _ = ParseReply([]byte(msg))
		}
	})
}

func collect(parts ...[]byte) (msgs []string, err error) {
	var r Records
	for _, p := range parts {
		err = r.Feed(p, func(msg []byte) { msgs = append(msgs, string(msg)) })
	}
	return msgs, err
}

func FuzzParseReply(f *testing.F) {
	f.Add(words(7, 1, 0, 0, 0, 2, 2, 4))
	f.Add(words(7, 1, 1, 1, 5))
	f.Add(words(7, 1, 0, 6, 5, 0xaaaaaaaa, 0xbb000000, 0, 1, 100000, 2, 6, 111, 0))
	f.Fuzz(func(t *testing.T, msg []byte) {
		r, err := ParseReply(msg)
		if err != nil {
			return
		}
		if len(r.Results) > len(msg) {
			t.Errorf("results of %d bytes in a message of %d", len(r.Results), len(msg))
		}
		for _, parse := range []func([]byte) ([]Mapping, error){ParsePortmap, ParseRpcbind} {
			list, err := parse(r.Results)
			if len(list) > MaxMappings {
				t.Errorf("%d mappings", len(list))
			}
			if err == nil && len(r.Results) < 4+20*len(list) {
				t.Errorf("%d mappings in %d bytes", len(list), len(r.Results))
			}
		}
	})
}
