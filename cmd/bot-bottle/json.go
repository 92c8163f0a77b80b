package main

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/bot-bottle/action/internal/term"
)

// writeJSON writes document as indented JSON. What a guest chose can be part of
// it, and stdout may be a CI runner's: of the workflow commands only "##[" can
// stand in the middle of a line, and a hash stands only in strings.
func writeJSON(w io.Writer, document any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", "  ")
	if err := e.Encode(document); err != nil {
		return err
	}
	_, err := w.Write(bytes.ReplaceAll(text.Bytes(), []byte("##["), []byte(`#\u0023[`)))
	return err
}

// answers is stdout for what a verb was asked: where it can't be written, the
// verb's work may be done and is not told.
type answers struct{ w io.Writer }

// Write writes p, and explains an error of it.
func (a answers) Write(p []byte) (int, error) {
	n, err := a.w.Write(p)
	if err != nil {
		err = term.Errorf(term.StagePost, "stdout", "writing the answer: %w", err)
	}
	return n, err
}
