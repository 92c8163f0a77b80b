package meter

import (
	"math"
	"math/bits"
	"strings"
)

// Price is what a model's tokens cost: millionths of a US dollar for a million tokens
// of each kind.
type Price struct {
	// Model is its name, or the beginning of one and "*".
	Model      string `json:"model"`
	Input      int64  `json:"input"`
	Output     int64  `json:"output"`
	CacheWrite int64  `json:"cache_write"`
	CacheRead  int64  `json:"cache_read"`
}

// PricesFile is where an operator puts a table of his own.
const PricesFile = "/etc/bot-bottle/prices.yaml"

// MaxPrice is the most that is taken for meant: ten thousand dollars.
const MaxPrice = 10_000_000_000

// Prices is a table, of which the first that fits a model is its price.
type Prices []Price

// Of gives the price of a model.
func (p Prices) Of(model string) (Price, bool) {
	for _, price := range p {
		if price.fits(model) {
			return price, true
		}
	}
	return Price{}, false
}

func (p Price) fits(model string) bool {
	if begin, open := strings.CutSuffix(p.Model, "*"); open {
		return strings.HasPrefix(model, begin)
	}
	return p.Model == model
}

// Covers tells whether p fits every model that o fits.
func (p Price) Covers(o Price) bool {
	begin, open := strings.CutSuffix(o.Model, "*")
	return p.fits(begin) && (!open || strings.HasSuffix(p.Model, "*"))
}

// Cost gives what u costs, in millionths of a US dollar, each kind rounded up. What
// doesn't fit into 63 bits is the largest that does.
func (p Price) Cost(u Usage) int64 {
	var sum int64
	for _, k := range [][2]int64{{u.Input, p.Input}, {u.Output, p.Output}, {u.CacheWrite, p.CacheWrite}, {u.CacheRead, p.CacheRead}} {
		cost := perMillion(k[0], k[1])
		if cost > math.MaxInt64-sum {
			return math.MaxInt64
		}
		sum += cost
	}
	return sum
}

func perMillion(tokens, price int64) int64 {
	const million = 1_000_000
	high, low := bits.Mul64(uint64(max(tokens, 0)), uint64(max(price, 0)))
	low, carry := bits.Add64(low, million-1, 0)
	if high += carry; high >= million {
		return math.MaxInt64
	}
	quotient, _ := bits.Div64(high, low, million)
	return int64(min(quotient, math.MaxInt64))
}
