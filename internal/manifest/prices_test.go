package manifest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/meter"
)

func TestTheBuiltInTableHasPricesOfWhatTheAgentsAsk(t *testing.T) {
	table := manifest.Config{}.PriceTable()
	for _, model := range []string{"claude-opus-4-8", "claude-opus-4-5-20251101", "claude-sonnet-4-5", "claude-haiku-4-5-20251001", "gpt-5", "gpt-5-codex", "gemini-2.5-pro", "gemini-2.5-flash"} {
		if p, found := table.Of(model); !found || p.Input <= 0 || p.Output < p.Input || p.CacheRead > p.Input || p.CacheWrite < p.Input {
			t.Errorf("%s: %+v, %v", model, p, found)
		}
	}
	if p, found := table.Of("claude-of-tomorrow"); found {
		t.Errorf("a model that nobody knows costs %+v", p)
	}
}

const ownPrices = "prices:\n  - {model: mine, input: 1, output: 2.5}\n  - {model: \"mine*\", input: 0.000001, output: \"3.00\", cache_write: 0, cache_read: 0.25}\n"

func TestTheOperatorsTableReplacesTheBuiltIn(t *testing.T) {
	beside := config(t, "")
	writeFile(t, filepath.Join(beside, "prices.yaml"), ownPrices)
	alone := t.TempDir()
	if err := os.Chmod(alone, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(alone, "prices.yaml"), ownPrices)
	for name, dir := range map[string]string{"config.yaml": config(t, ownPrices), "prices.yaml": beside, "prices.yaml alone": alone} {
		c, err := manifest.LoadConfigOf(dir, os.Getuid())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		first, _ := c.PriceTable().Of("mine")
		second, _ := c.PriceTable().Of("mine-2")
		if _, found := c.PriceTable().Of("gpt-5"); found ||
			first != (meter.Price{Model: "mine", Input: 1_000_000, Output: 2_500_000, CacheWrite: 1_000_000, CacheRead: 1_000_000}) ||
			second != (meter.Price{Model: "mine*", Input: 1, Output: 3_000_000, CacheRead: 250_000}) {
			t.Errorf("%s: %+v", name, c.PriceTable())
		}
	}
	if c, err := manifest.LoadConfigOf(config(t, "prices: []\n"), os.Getuid()); err != nil || len(c.PriceTable()) != 0 {
		t.Errorf("an empty table: %+v, %v", c, err)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsWrongInATableOfPrices(t *testing.T) {
	for content, want := range map[string]string{
		"":                                   "prices.yaml:1: prices: it is missing",
		"prices: ":                           "prices.yaml:1: prices: it is empty",
		"price: []":                          "prices.yaml:1: price: unknown key",
		"[":                                  "is not YAML",
		"prices:\n  - {model: m, input: 1}":  "prices.yaml:2: prices[0].output: it is missing",
		"prices:\n  - {input: 1, output: 1}": "prices[0].model: it is missing",
		"prices:\n  - {model: m, input: 1, output: free}":                                         "prices.yaml:2: prices[0].output: \"free\" is no amount",
		"prices:\n  - {model: m, input: 1, output: 1.1234567}":                                    "\"1.1234567\" is no amount",
		"prices:\n  - {model: m, input: -1, output: 1}":                                           "\"-1\" is no amount",
		"prices:\n  - {model: m, input: 10001, output: 1}":                                        "10001.00 is no price of a million tokens",
		"prices:\n  - {model: \"a*b\", input: 1, output: 1}":                                      "\"a*b\" is no name of a model",
		"prices:\n  - {model: \"\", input: 1, output: 1}":                                         "is no name of a model",
		"prices:\n  - {model: m, input: 1, output: 1, inptu: 1}":                                  "prices[0].inptu: unknown key",
		"prices:\n  - {model: \"m*\", input: 1, output: 1}\n  - {model: mm, input: 1, output: 1}": "prices.yaml:3: prices[1]: \"mm\" is never looked for here: \"m*\" stands before it",
	} {
		dir := config(t, "")
		writeFile(t, filepath.Join(dir, "prices.yaml"), content)
		if _, err := manifest.LoadConfigOf(dir, os.Getuid()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", content, err)
		}
	}
	both := config(t, ownPrices)
	writeFile(t, filepath.Join(both, "prices.yaml"), ownPrices)
	if _, err := manifest.LoadConfigOf(both, os.Getuid()); err == nil || !strings.Contains(err.Error(), "config.yaml beside it has `prices` too") {
		t.Errorf("two tables: %v", err)
	}
	open := config(t, "")
	writeFile(t, filepath.Join(open, "prices.yaml"), ownPrices)
	if err := os.Chmod(filepath.Join(open, "prices.yaml"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.LoadConfigOf(open, os.Getuid()); err == nil || !strings.Contains(err.Error(), "others than root can change") {
		t.Errorf("a table that anybody can change: %v", err)
	}
}
