package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"sonde/config"
	"sonde/daemon/internal/control"
	"sonde/daemon/internal/inventory"
)

// control gives the configuration of the daemon's sockets.
func (f *stateFlags) control() (config.Control, error) {
	if f.dir != "" {
		return config.Control{Enabled: true, Directory: f.dir}, nil
	}
	cfg, err := readConfig(f.config)
	if err != nil {
		return config.Control{}, err
	}
	return cfg.Control, nil
}

// get asks the daemon for a path.
func (f *stateFlags) get(ctx context.Context, path string, query url.Values, into any) error {
	at, err := f.control()
	if err != nil {
		return err
	}
	return control.NewClient(at.ReadPath(), "control.read_group").Get(ctx, path, query, into)
}

// A source gives a state directory's content, from the daemon that runs, or from
// the directory itself where none does.
type source struct {
	dir    string
	client *control.Client // nil: the directory is read in any case
}

func (f *stateFlags) source() (*source, error) {
	if f.dir != "" {
		return &source{dir: f.dir}, nil
	}
	cfg, err := readConfig(f.config)
	if err != nil {
		return nil, err
	}
	s := &source{dir: cfg.Sensor.StateDir}
	if cfg.Control.Enabled {
		s.client = control.NewClient(cfg.Control.ReadPath(), "control.read_group")
	}
	return s, nil
}

// ask asks the daemon, and says whether that had nothing to say: then the
// directory may be read. why is what the daemon's socket is to be told of, where
// that cannot be read either.
func (s *source) ask(ctx context.Context, path string, query url.Values, into any) (asked bool, why, err error) {
	if s.client == nil {
		return false, nil, nil
	}
	err = s.client.Get(ctx, path, query, into)
	no, refused := errors.AsType[*control.Refusal](err)
	switch {
	case errors.Is(err, control.ErrNoDaemon), refused && no.Code == http.StatusServiceUnavailable:
		return false, nil, nil
	case errors.Is(err, fs.ErrPermission):
		return false, err, nil
	}
	return true, nil, err
}

// open opens the directory.
func (s *source) open(ctx context.Context, why error) (*inventory.Reader, error) {
	r, err := inventory.OpenReadOnly(ctx, s.dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil, errors.Join(why, err)
	}
	return r, err
}

// services gives the services that a filter chooses.
func (f *stateFlags) services(ctx context.Context, filter inventory.Filter) iter.Seq2[*control.Service, error] {
	return func(yield func(*control.Service, error) bool) {
		s, err := f.source()
		if err != nil {
			yield(nil, err)
			return
		}
		var page control.Services
		asked, why, err := s.ask(ctx, "/v1/inventory", control.ListQuery(&filter, 0), &page)
		switch {
		case err != nil:
			yield(nil, err)
		case asked:
			s.pages(ctx, filter, page, yield)
		default:
			s.read(ctx, why, filter, yield)
		}
	}
}

// pages gives the services of a page and of those after it.
func (s *source) pages(ctx context.Context, filter inventory.Filter, page control.Services, yield func(*control.Service, error) bool) {
	for {
		for _, found := range page.Services {
			if !yield(found, nil) {
				return
			}
		}
		next := page.Next
		if next == 0 {
			return
		}
		page = control.Services{}
		if err := s.client.Get(ctx, "/v1/inventory", control.ListQuery(&filter, next), &page); err != nil {
			yield(nil, err)
			return
		}
	}
}

// read gives the services of the directory.
func (s *source) read(ctx context.Context, why error, filter inventory.Filter, yield func(*control.Service, error) bool) {
	r, err := s.open(ctx, why)
	if err != nil {
		yield(nil, err)
		return
	}
	defer r.Close()
	for e, err := range r.Endpoints(ctx, filter) {
		if !yield(control.ServiceOf(&e), err) {
			return
		}
	}
}

// events gives the events after a number, at most as many as a page has, none if
// there are no more.
func (s *source) events(ctx context.Context, after int64, most int) (list []json.RawMessage, last int64, err error) {
	var page control.Told
	asked, why, err := s.ask(ctx, "/v1/events", url.Values{"after": {strconv.FormatInt(after, 10)}}, &page)
	if err != nil || asked {
		return page.Events, page.Next, err
	}
	r, err := s.open(ctx, why)
	if err != nil {
		return nil, after, err
	}
	rows, err := r.Events(ctx, after, most)
	for i := range rows {
		list, after = append(list, rows[i].JSON), rows[i].Seq
	}
	return list, after, errors.Join(err, r.Close())
}
