package emit

import (
	"strconv"
	"strings"
	"time"

	"sonde/daemon/internal/event"
)

// cefLevel is the severity of CEF, 0 to 10.
func cefLevel(s event.Severity) string {
	switch s { //exhaustive:enforce
	case event.Notice:
		return "4"
	case event.Warning:
		return "7"
	case event.Error:
		return "9"
	case event.Info:
	}
	return "2"
}

// appendCEF appends the event in the Common Event Format, version 0, in at most
// most bytes: what has no room is left out whole, the least needed first. The
// keys are those of its dictionary. The header has only words of ours, so that
// no parser's idea of an escaped bar matters.
func appendCEF(dst []byte, e *event.Event, most int) []byte {
	start := len(dst)
	dst = append(dst, "CEF:0|Sonde|Sonde|"...)
	dst = append(dst, cefHeader(e.Sensor.Version)...)
	dst = append(dst, '|')
	dst = append(dst, cefHeader(string(e.Action))...)
	dst = append(dst, '|')
	dst = append(dst, cefHeader(strings.NewReplacer(".", " ", "_", " ").Replace(string(e.Action)))...)
	dst = append(dst, '|')
	dst = append(dst, cefLevel(e.Severity)...)
	dst = append(dst, '|')
	head := len(dst)
	for _, group := range cefExtensions(e) {
		if group[0][1] == "" {
			continue
		}
		before := len(dst)
		for _, kv := range group {
			if len(dst) > head {
				dst = append(dst, ' ')
			}
			dst = append(dst, kv[0]...)
			dst = append(dst, '=')
			dst = appendCEFValue(dst, kv[1])
		}
		if len(dst)-start > most {
			dst = dst[:before]
		}
	}
	return dst
}

// cefHeader keeps what no parser takes for anything but text: words of ours, and
// the number of a version.
func cefHeader(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(" .-_+", r) {
			return r
		}
		return '.'
	}, cutUTF8(s, 63))
}

// cefText makes a value of the extension. Blanks at its ends would be lost.
func cefText(s string) string { return strings.TrimSpace(cutUTF8(clean(s), maxCEF)) }

// appendCEFValue appends a value of the extension: '=' and the backslash are
// escaped. Line breaks, which CEF could escape too, are gone already.
func appendCEFValue(dst []byte, s string) []byte {
	for _, c := range []byte(s) {
		if c == '=' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return dst
}

// maxCEF is the longest value in bytes before escaping: the dictionary has
// 1,023 for most strings.
const maxCEF = 1023

// cefExtensions lists the extension, most needed first. Keys that only make
// sense together, as a custom string and its label, stand in one group.
func cefExtensions(e *event.Event) [][][2]string {
	var out [][][2]string
	add := func(key, value string) {
		out = append(out, [][2]string{{key, cefText(value)}})
	}
	label := func(key, name, value string) {
		out = append(out, [][2]string{{key, cefText(value)}, {key + "Label", name}})
	}
	add("externalId", e.ID)
	label("cn1", "seq", strconv.FormatInt(e.Seq, 10))
	add("rt", strconv.FormatInt(e.Timestamp.UnixMilli(), 10))
	add("dvchost", e.Sensor.Name)
	add("deviceExternalId", e.Sensor.UUID)
	kind, _, _ := strings.Cut(string(e.Action), ".")
	add("cat", kind)
	if o := e.Endpoint; o != nil {
		if a := o.Addr.Unmap(); a.Is6() {
			label("c6a3", "address", a.String())
		} else {
			add("dst", addrText(a))
		}
		add("dpt", numberText(int(o.Port)))
		add("proto", strings.ToUpper(string(o.Transport)))
		add("app", o.Service)
		label("cs1", "product", strings.TrimSpace(o.Product+" "+o.Version))
		add("dhost", o.Hostname)
	}
	add("msg", e.Message)
	label("cs2", "watch", e.Watch)
	label("cs3", "zone", e.Zone)
	add("reason", e.Reason)
	label("cs4", "cause", string(e.Cause))
	label("cs5", "changed", strings.Join(e.Changed, ","))
	if o := e.Previous; o != nil {
		label("cs6", "previous", strings.TrimSpace(strings.Join(
			[]string{addrText(o.Addr), o.Service, o.Product, o.Version}, " ")))
	}
	add("dmac", e.MAC)
	label("flexString1", "expected", expectedText(e))
	label("flexString2", "owner", e.Owner)
	add("start", milliText(e.FirstSeen))
	add("end", milliText(e.LastSeen))
	return out
}

func milliText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}
