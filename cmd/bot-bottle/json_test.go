package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestNoDocumentHoldsAWorkflowCommand(t *testing.T) {
	want := map[string]string{"name": "a##[error]b ::error::c ###[x]"}
	var out strings.Builder
	if err := writeJSON(&out, want); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "##[") {
		t.Errorf("GitHub's runner would find a command in %s", out.String())
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil || got["name"] != want["name"] {
		t.Errorf("got %q, %v", got, err)
	}
}
