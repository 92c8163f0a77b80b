package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/secret"
)

const bytesOfSecret = "hunter2"

// shown tells whether text holds the secret in a spelling that printing makes.
func shown(text string) bool {
	for _, spelling := range []string{bytesOfSecret, "68756e74657232", "68756E74657232", "104 117 110", "0x68, 0x75"} {
		if strings.Contains(text, spelling) {
			return true
		}
	}
	return false
}

func TestNoPrintingShowsTheBytes(t *testing.T) {
	v := secret.New("env:TOKEN", bytesOfSecret)
	type public struct{ V secret.Value }
	type private struct{ v secret.Value }
	carriers := []any{
		v, &v, public{v}, &public{v}, private{v}, &private{v}, []secret.Value{v}, map[string]secret.Value{"k": v}, [1]*secret.Value{&v},
		fmt.Errorf("using %v", v), struct{ e any }{v},
	}
	for _, c := range carriers {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%T", "%08.3s", "%p"} {
			if s := fmt.Sprintf(verb, c); shown(s) {
				t.Errorf("%s of a %T printed %q", verb, c, s)
			}
		}
		if b, err := json.Marshal(c); shown(string(b)) {
			t.Errorf("the JSON of a %T is %s, %v", c, b, err)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", c)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", c)
		if shown(log.String()) {
			t.Errorf("the log of a %T is %s", c, log.String())
		}
	}
	if b, err := xml.Marshal(public{v}); shown(string(b)) || err != nil {
		t.Errorf("the XML is %s, %v", b, err)
	}
}

func TestASecretShowsItsName(t *testing.T) {
	v := secret.New("env:TOKEN", bytesOfSecret)
	const want = "[secret env:TOKEN]"
	text, _ := v.MarshalText()
	quoted, _ := json.Marshal(map[string]any{"v": v})
	for _, s := range []string{v.String(), v.GoString(), string(text), fmt.Sprint(v), fmt.Sprintf("%x", v), v.LogValue().String()} {
		if s != want {
			t.Errorf("it shows as %q", s)
		}
	}
	if string(quoted) != `{"v":"`+want+`"}` {
		t.Errorf("its JSON is %s", quoted)
	}
}

func TestRevealGivesTheBytes(t *testing.T) {
	v := secret.New("n", bytesOfSecret)
	if v.Reveal() != bytesOfSecret || v.Name() != "n" || v.IsEmpty() {
		t.Errorf("%q, %q", v.Reveal(), v.Name())
	}
	if zero := (secret.Value{}); zero.Reveal() != "" || !zero.IsEmpty() || zero.String() != "[secret ]" {
		t.Errorf("the zero value is %q", zero.Reveal())
	}
}

func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReferencesAreResolved(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "token", bytesOfSecret+"\r\n\n")
	env := environment("TOKEN", bytesOfSecret, "CREDENTIALS_DIRECTORY", dir)
	for _, text := range []string{"env:TOKEN", "file:" + path, "credential:token"} {
		ref, err := secret.ParseRef(text)
		if err != nil {
			t.Fatal(err)
		}
		v, err := ref.Resolve(env)
		if err != nil || v.Reveal() != bytesOfSecret || v.Name() != text {
			t.Errorf("%s: %q, %q, %v", text, v.Reveal(), v.Name(), err)
		}
	}
}

func TestAReferenceIsNoPathOfItsOwn(t *testing.T) {
	for _, text := range []string{
		"", "TOKEN", "env:", "env:A=B", "env:A\x00", "file:", "file:rel", "file:/a/../b", "file:~/x", "file://a",
		"credential:", "credential:../x", "credential:a/b", "credential:..", "credential:.", "ENV:A", "vault:x",
	} {
		if ref, err := secret.ParseRef(text); err == nil {
			t.Errorf("%q was taken as %q", text, ref)
		}
		if _, err := secret.Ref(text).Resolve(environment("TOKEN", "x")); err == nil {
			t.Errorf("%q was resolved", text)
		}
	}
}

func TestATokenInPlaceOfAReferenceIsNotRepeated(t *testing.T) {
	for _, text := range []string{bytesOfSecret, bytesOfSecret + ":x"} {
		if _, err := secret.ParseRef(text); err == nil || shown(err.Error()) {
			t.Errorf("the error is %v", err)
		}
	}
}

func TestAMissingSecretSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	env := environment("EMPTY", "", "CREDENTIALS_DIRECTORY", dir)
	for text, want := range map[string]string{
		"env:ABSENT":                           "set ABSENT",
		"env:EMPTY":                            "the secret is empty",
		"file:" + filepath.Join(dir, "absent"): "no such file",
		"file:" + dir:                          "not a regular file",
		"file:" + fifo:                         "not a regular file",
		"file:" + write(t, dir, "empty", "\n"): "the secret is empty",
		"credential:absent":                    "no such file",
		"file:" + write(t, dir, "big", huge()): "more than 65536 bytes",
	} {
		_, err := secret.Ref(text).Resolve(env)
		var e *secret.MissingError
		if !errors.As(err, &e) || e.Ref != secret.Ref(text) || e.Hint == "" {
			t.Errorf("%s: %#v", text, err)
			continue
		}
		if s := err.Error() + "\n" + e.Hint; !strings.Contains(s, want) || shown(s) {
			t.Errorf("%s:\n%s", text, s)
		}
	}
	_, err := secret.Ref("credential:x").Resolve(environment())
	var e *secret.MissingError
	if !errors.As(err, &e) || !strings.Contains(e.Hint, "LoadCredential=x:") {
		t.Errorf("without systemd: %v", err)
	}
}

func huge() string {
	return strings.Repeat(bytesOfSecret, 10_000)
}

func TestAFIFOIsNotWaitedFor(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := secret.Ref("file:" + fifo).Resolve(environment())
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Error("a FIFO was read")
		}
	case <-time.After(10 * time.Second):
		t.Error("a FIFO without writer is waited for")
	}
}
