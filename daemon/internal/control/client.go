package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// maxAnswer bounds what a client takes: a page of the inventory has a few MiB.
const maxAnswer = 64 << 20

// ErrNoDaemon says that no daemon has a socket.
var ErrNoDaemon = errors.New("no daemon answers")

// A Client asks a daemon over one of its sockets. Any number of goroutines may
// share it.
type Client struct {
	path string
	key  string // of the configuration, that says whose group may ask
	http http.Client
}

// NewClient returns a client of the socket at path; key is the configuration's
// for the group that may open it.
func NewClient(path, key string) *Client {
	c := &Client{path: path, key: key}
	c.http.Transport = &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}
	return c
}

// Get asks for a path with a query, and reads the answer into what into points
// at. Its error is a [Refusal], says ErrNoDaemon, or why nobody was asked.
func (c *Client) Get(ctx context.Context, path string, query url.Values, into any) error {
	u := url.URL{Scheme: "http", Host: "sonde", Path: path, RawQuery: query.Encode()}
	return c.do(ctx, http.MethodGet, u.String(), nil, into)
}

// Post tells the daemon a command, and reads the answer into what into points
// at. Its error is as that of Get.
func (c *Client) Post(ctx context.Context, path string, command *Command, into any) error {
	body, err := json.Marshal(command)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, "http://sonde"+path, bytes.NewReader(body), into)
}

func (c *Client) do(ctx context.Context, method, to string, body io.Reader, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("answer of the daemon at %s: %w", c.path, err)
	}
	if resp.StatusCode != http.StatusOK {
		var no refusal
		if json.Unmarshal(text, &no) != nil || no.Error == "" {
			no.Error = fmt.Sprintf("the daemon at %s answers %s to %s", c.path, resp.Status, req.URL.Path)
		}
		return &Refusal{resp.StatusCode, no.Error}
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("answer of the daemon at %s: %w; is it of another version?", c.path, err)
	}
	return nil
}

// explain says what is to be done when a socket cannot be opened.
func (c *Client) explain(err error) error {
	if at, ok := errors.AsType[*url.Error](err); ok {
		err = at.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w at %s; start it with 'sonde run' or 'systemctl start sonde', or name its configuration with -c",
			ErrNoDaemon, c.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("socket %s: %w; %s", c.path, fs.ErrPermission, c.whoMay())
	}
	return fmt.Errorf("socket %s: %w", c.path, err)
}

// whoMay says who may open the socket.
func (c *Client) whoMay() string {
	who := "ask as root, or as the user that runs the daemon"
	st, err := os.Stat(c.path)
	if err != nil {
		return who // its directory says no more
	}
	gid, ok := groupOf(st)
	if !ok {
		return who
	}
	name := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(name); err == nil {
		name = g.Name
	}
	return fmt.Sprintf("ask as root or a member of the group %s, or set %s to one of yours", name, c.key)
}
