package term

import (
	"io"
	"strings"
	"unicode/utf8"
)

// gap stands between two columns.
const gap = "  "

// Table lines up cells in columns. Cells are single lines of harmless text; their
// width is counted in characters, without paint. The zero value is an empty table.
type Table struct {
	Indent string // before each row
	Right  []int  // columns that are aligned right, from 0
	rows   [][]string
}

// Row adds a row. Rows may differ in length; the last cell of a row has no width.
func (t *Table) Row(cells ...string) { t.rows = append(t.rows, cells) }

// Len gives the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// WriteTo writes the table in one Write.
func (t *Table) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, t.String())
	return int64(n), err
}

// String gives the table, each row ended by a newline.
func (t *Table) String() string {
	var b strings.Builder
	widths := t.widths()
	for _, row := range t.rows {
		var text strings.Builder
		for i, cell := range row {
			t.cell(&text, cell, i, widths[i], i == len(row)-1)
		}
		b.WriteString(strings.TrimRight(t.Indent+text.String(), " ") + "\n")
	}
	return b.String()
}

func (t *Table) cell(b *strings.Builder, cell string, column, width int, last bool) {
	if column > 0 {
		b.WriteString(gap)
	}
	space := strings.Repeat(" ", max(0, width-cellWidth(cell)))
	switch {
	case t.right(column):
		b.WriteString(space + cell)
	case last:
		b.WriteString(cell)
	default:
		b.WriteString(cell + space)
	}
}

func (t *Table) right(column int) bool {
	for _, c := range t.Right {
		if c == column {
			return true
		}
	}
	return false
}

// widths gives the width of each column. The last cell of a row counts only
// where it is aligned right.
func (t *Table) widths() []int {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if i < len(row)-1 || t.right(i) {
				widths[i] = max(widths[i], cellWidth(cell))
			}
		}
	}
	return widths
}

// cellWidth counts characters outside of paint, which is all that has an ESC.
func cellWidth(s string) int {
	width := utf8.RuneCountInString(s)
	for {
		start := strings.Index(s, "\x1b[")
		if start < 0 {
			return width
		}
		end := strings.IndexByte(s[start:], 'm')
		if end < 0 {
			return width
		}
		width -= end + 1
		s = s[start+end+1:]
	}
}
