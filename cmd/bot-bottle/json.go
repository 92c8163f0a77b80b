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
	return toStdout(err)
}

// toStdout explains an error of writing what was asked for.
func toStdout(err error) error {
	if err == nil {
		return nil
	}
	return term.Errorf(term.StagePost, "stdout", "writing the answer: %w", err)
}
