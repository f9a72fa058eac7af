package config

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/agnivade/levenshtein"
)

// A value is one decoded TOML value and where it came from.
type value struct {
	any
	file  string
	path  string // unique over all files: "watch[2].tcp_ports"
	key   string // for people: "watch.tcp_ports"
	place *place
}

func (v value) pos() Pos { return Pos{v.file, v.place.line, v.place.col} }

// name is the last part of the key.
func (v value) name() string { return v.key[strings.LastIndexByte(v.key, '.')+1:] }

// child gives the value of one key of a table.
func (v value) child(name string, x any) value {
	c := value{x, v.file, name, name, v.place.key(name)}
	if v.path != "" {
		c.path, c.key = v.path+"."+name, v.key+"."+name
	}
	return c
}

// element gives the value of one element of an array.
func (v value) element(i int, x any) value {
	return value{x, v.file, fmt.Sprintf("%s[%d]", v.path, i), v.key, v.place.item(i)}
}

// A reader collects mistakes, and where each key was set.
type reader struct {
	errs Errors
	set  map[string]Pos
}

func (r *reader) fail(at Pos, key, format string, args ...any) {
	r.errs = append(r.errs, &Error{at.File, at.Line, at.Col, key, fmt.Sprintf(format, args...)})
}

func (r *reader) bad(v value, format string, args ...any) {
	r.fail(v.pos(), v.key, format, args...)
}

// once notes that a key is set, and refuses it where it was set before. The
// library has refused doubles within a file; this is about two files.
func (r *reader) once(v value) bool {
	if before, twice := r.set[v.path]; twice {
		r.bad(v, "is set in %s already; remove one of the two", before)
		return false
	}
	r.set[v.path] = v.pos()
	return true
}

// A setter checks a value and puts it into its field.
type setter[T any] func(r *reader, into *T, v value)

// A table is all keys that a TOML table may have.
type table[T any] map[string]setter[T]

// read fills into from a TOML table, key by key.
func (t table[T]) read(r *reader, into *T, v value) {
	m, ok := v.any.(map[string]any)
	if !ok {
		r.bad(v, "is %s, but must be a table; write [%s] on a line of its own", kindOf(v.any), v.key)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		c := v.child(name, m[name])
		if set, known := t[name]; known {
			set(r, into, c)
		} else {
			r.bad(c, "unknown key; %s", t.suggest(name))
		}
	}
}

// suggest names the nearest known key, or all of them.
func (t table[T]) suggest(name string) string {
	names := slices.Sorted(maps.Keys(t))
	best := slices.MinFunc(names, func(a, b string) int {
		return cmp.Compare(distance(name, a), distance(name, b))
	})
	if distance(name, best) <= max(1, len(best)/2) {
		return fmt.Sprintf("write %s, or remove it", best)
	}
	return "remove it; known here are " + strings.Join(names, ", ")
}

// distance is the number of edits between two words. Long words are no typing
// errors, and are not measured.
func distance(a, b string) int {
	if len(a) > 64 {
		return math.MaxInt
	}
	return levenshtein.ComputeDistance(a, b)
}

// sub reads a table within a table.
func sub[T, S any](at func(*T) *S, t table[S]) setter[T] {
	return func(r *reader, into *T, v value) { t.read(r, at(into), v) }
}

// scalar makes a setter of a function that reads one value. The error of that
// function says what is wrong and what to write instead.
func scalar[T, V any](at func(*T) *V, read func(value) (V, error)) setter[T] {
	return func(r *reader, into *T, v value) {
		x, err := read(v)
		if err != nil {
			r.bad(v, "%v", err)
			return
		}
		if r.once(v) {
			*at(into) = x
		}
	}
}

func text[T any](at func(*T) *string, check func(string) error) setter[T] {
	return parsed(at, `"text"`, func(s string) (string, error) { return s, check(s) })
}

// parsed reads a string that means something else.
func parsed[T, V any](at func(*T) *V, example string, parse func(string) (V, error)) setter[T] {
	return scalar(at, func(v value) (V, error) {
		s, ok := v.any.(string)
		if !ok {
			var zero V
			return zero, fmt.Errorf("is %s, but must be a string; write %s = %s", kindOf(v.any), v.name(), example)
		}
		return parse(s)
	})
}

func flag[T any](at func(*T) *bool) setter[T] {
	return scalar(at, func(v value) (bool, error) {
		b, ok := v.any.(bool)
		if !ok {
			return false, fmt.Errorf("is %s, but must be true or false, without quotes", kindOf(v.any))
		}
		return b, nil
	})
}

func number[T any](at func(*T) *int, low, high int64) setter[T] {
	return scalar(at, func(v value) (int, error) {
		n, ok := v.any.(int64)
		if !ok {
			return 0, fmt.Errorf("is %s, but must be a whole number from %d to %d, without quotes", kindOf(v.any), low, high)
		}
		if n < low || n > high {
			return 0, fmt.Errorf("%d is out of range; write a number from %d to %d", n, low, high)
		}
		return int(n), nil
	})
}

func duration[T any](at func(*T) *time.Duration, low, high time.Duration) setter[T] {
	example := fmt.Sprintf("%q", short(max(low, min(15*time.Minute, high))))
	return parsed(at, example, func(s string) (time.Duration, error) {
		d, err := parseDuration(s)
		if err == nil && (d < low || d > high) {
			err = fmt.Errorf("%q is out of range; write a time from %s to %s", s, short(low), short(high))
		}
		return d, err
	})
}

// strs reads an array of strings element by element and adds what parse gives;
// so lists of several files join.
func strs[T, V any](at func(*T) *[]V, example string, parse func(string) (V, error)) setter[T] {
	return func(r *reader, into *T, v value) {
		list, ok := v.any.([]any)
		if !ok {
			r.bad(v, "is %s, but must be a list of strings; write %s = [%s]", kindOf(v.any), v.name(), example)
			return
		}
		if _, again := r.set[v.path]; !again {
			r.set[v.path] = v.pos()
			*at(into) = nil // the first list replaces the default
		}
		for i, x := range list {
			e := v.element(i, x)
			s, ok := x.(string)
			if !ok {
				r.bad(e, "element %d is %s, but must be a string; write %s", i+1, kindOf(x), example)
				continue
			}
			y, err := parse(s)
			if err != nil {
				r.bad(e, "element %d: %v", i+1, err)
				continue
			}
			*at(into) = append(*at(into), y)
		}
	}
}

// kindOf names the TOML type of a decoded value for people.
func kindOf(x any) string {
	switch x.(type) {
	case string:
		return "a string"
	case int64:
		return "a whole number"
	case float64:
		return "a number with a fraction"
	case bool:
		return "true or false"
	case time.Time:
		return "a date"
	case []any, []map[string]any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a value of another kind"
}

// unquoteKey gives the text of a quoted key; what the library refuses stays
// as it is.
func unquoteKey(s string) string {
	var out struct{ K string }
	if _, err := toml.Decode("K = "+s, &out); err != nil {
		return s
	}
	return out.K
}
