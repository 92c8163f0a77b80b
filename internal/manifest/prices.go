package manifest

import (
	_ "embed" // the table of prices
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml/ast"

	"github.com/bot-bottle/action/internal/meter"
)

// pricesName is the operator's own table, in HostFolder.
const pricesName = "prices.yaml"

//go:embed prices.yaml
var builtInPrices []byte

// builtInTable is read once; a test reads it too, so that it is never wrong.
var builtInTable = sync.OnceValue(func() meter.Prices {
	r := newReader("the built-in " + pricesName)
	prices := r.priceFile(builtInPrices)
	if err := asError(r.faults); err != nil {
		panic(err)
	}
	return prices
})

// PriceTable gives the operator's table, or where there is none the one that is built
// in.
func (c Config) PriceTable() meter.Prices {
	if c.Prices != nil {
		return c.Prices
	}
	return builtInTable()
}

// loadPrices reads prices.yaml of a folder, if it is there, into c.
func (c *Config) loadPrices(folder string, owner int) error {
	path := filepath.Join(folder, pricesName)
	b, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := onlyRoots(folder, path, owner, err); err != nil {
		return err
	}
	r := newReader(path)
	prices := r.priceFile(b)
	if c.Prices != nil {
		r.fault(1, "prices", "remove one of the two", "config.yaml beside it has `prices` too")
	}
	c.Prices = prices
	return asError(r.faults)
}

func (r *reader) priceFile(b []byte) (prices meter.Prices) {
	if n, ok := r.parse(b); ok {
		r.mapping(n, "", schema{
			fields:   map[string]func(ast.Node, string){"prices": func(n ast.Node, at string) { prices = r.prices(n, at) }},
			required: []string{"prices"},
		})
	}
	return prices
}

// prices reads a table; an empty one has no prices at all.
func (r *reader) prices(n ast.Node, at string) meter.Prices {
	table := meter.Prices{}
	r.list(n, at, func(n ast.Node, at string) {
		p := r.price(n, at)
		if i := slices.IndexFunc(table, func(other meter.Price) bool { return other.Covers(p) }); i >= 0 && p.Model != "" {
			r.at(at, "put it before the other, or remove it", fmt.Errorf("%q is never looked for here: %q stands before it", p.Model, table[i].Model))
		}
		table = append(table, p)
	})
	return table
}

func (r *reader) price(n ast.Node, at string) (p meter.Price) {
	p.CacheWrite, p.CacheRead = -1, -1
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"model":       func(n ast.Node, at string) { p.Model = r.pricedModel(n, at) },
			"input":       func(n ast.Node, at string) { p.Input = r.rate(n, at) },
			"output":      func(n ast.Node, at string) { p.Output = r.rate(n, at) },
			"cache_write": func(n ast.Node, at string) { p.CacheWrite = r.rate(n, at) },
			"cache_read":  func(n ast.Node, at string) { p.CacheRead = r.rate(n, at) },
		},
		required: []string{"model", "input", "output"},
	})
	if p.CacheWrite < 0 {
		p.CacheWrite = p.Input
	}
	if p.CacheRead < 0 {
		p.CacheRead = p.Input
	}
	return p
}

func (r *reader) rate(n ast.Node, at string) int64 {
	micros, ok := r.money(n, at)
	if ok && micros > meter.MaxPrice {
		r.at(at, "write US dollars for a million tokens", fmt.Errorf("%s is no price of a million tokens", showMoney(micros)))
	}
	return micros
}

// pricedModel reads the name of a model, which may end in "*".
func (r *reader) pricedModel(n ast.Node, at string) string {
	text, ok := r.text(n, at)
	name := strings.TrimSuffix(text, "*")
	foreign := func(c rune) bool { return c <= ' ' || c > '~' || c == '*' }
	if ok && (text == "" || len(text) > maxAllowed || strings.ContainsFunc(name, foreign)) {
		r.at(at, "write the name as the API has it, or the beginning of one and *", fmt.Errorf("%.80q is no name of a model", text))
	}
	return text
}
