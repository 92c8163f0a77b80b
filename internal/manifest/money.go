package manifest

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/bot-bottle/action/internal/policy"
)

// amount is how US dollars are written: at most six decimals, which is the unit that
// is counted in, and at most nine digits before them.
var amount = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})(?:\.([0-9]{1,6}))?$`)

// cost reads a limit in US dollars.
func (r *reader) cost(n ast.Node, at string) int64 {
	micros, ok := r.money(n, at)
	if ok && micros == 0 {
		r.at(at, "remove the key to bound no cost", errors.New("0 is no limit"))
	}
	return micros
}

// money reads US dollars, as a number or as text, into millionths. The digits are
// taken as they stand: a float would round them.
func (r *reader) money(n ast.Node, at string) (micros int64, ok bool) {
	var written string
	switch n := n.(type) {
	case *ast.IntegerNode:
		written = n.Token.Value
	case *ast.FloatNode:
		written = n.Token.Value
	case *ast.StringNode:
		written = n.Value
	default:
		r.wrongType(n, at, "an amount in US dollars")
		return 0, false
	}
	m := amount.FindStringSubmatch(written)
	if m == nil {
		r.at(at, "write US dollars in plain decimal, such as 5.00", fmt.Errorf("%.80q is no amount", written))
		return 0, false
	}
	whole, err := strconv.ParseInt(m[1]+(m[2] + "000000")[:6], 10, 64)
	if err != nil { // fifteen digits always fit
		panic(err)
	}
	return whole, true
}

// showMoney writes millionths of a dollar so that money reads the same.
func showMoney(micros int64) string {
	decimals := strings.TrimRight(fmt.Sprintf("%06d", micros%policy.Dollar), "0")
	return fmt.Sprintf("%d.%s", micros/policy.Dollar, decimals+"00"[:max(0, 2-len(decimals))])
}
