package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// client asks the forge's API as one account, by token or, without one, by
// password.
type client struct {
	base            string
	login, password string
	token           string
}

// refused is an answer that is no success.
type refused struct {
	code         int
	method, path string
	body         string
}

// Error says what was asked and answered.
func (r *refused) Error() string {
	return fmt.Sprintf("%s %s: %d %s", r.method, r.path, r.code, r.body)
}

// absent tells whether the forge knows no such thing.
func absent(err error) bool {
	var r *refused
	return errors.As(err, &r) && r.code == http.StatusNotFound
}

func (c *client) get(ctx context.Context, path string, into any) error {
	return c.do(ctx, http.MethodGet, path, nil, into)
}

func (c *client) post(ctx context.Context, path string, what, into any) error {
	return c.do(ctx, http.MethodPost, path, what, into)
}

func (c *client) put(ctx context.Context, path string, what any) error {
	return c.do(ctx, http.MethodPut, path, what, nil)
}

// do asks, and reads the JSON of a success into into, or the bytes into a *string.
func (c *client) do(ctx context.Context, method, path string, what, into any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	c.authorize(req)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return read(answer, method, path, into)
}

func (c *client) authorize(req *http.Request) {
	if c.token != "" {
		req.Header.Set("Authorization", "token "+c.token)
		return
	}
	req.SetBasicAuth(c.login, c.password)
}

func read(answer *http.Response, method, path string, into any) error {
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return &refused{answer.StatusCode, method, path, string(b)}
	}
	switch into := into.(type) {
	case nil:
		return nil
	case *string:
		*into = string(b)
		return nil
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s %s: %w in %q", method, path, err, b)
	}
	return nil
}

// eventually asks holds until it says yes, an error, or patience is over.
func eventually(ctx context.Context, what string, holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not within %v", patience))
	defer cancel()
	for {
		if ok, err := holds(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}
