package manifest

import (
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/bot-bottle/action/internal/workflow"
)

// hostWorkflows are files that are accepted one by one: a pattern would accept what
// nobody has looked at.
func (r *reader) hostWorkflows(n ast.Node, at string) []string {
	var names []string
	r.list(n, at, func(n ast.Node, at string) {
		name, ok := r.text(n, at)
		err := workflow.CheckName(name)
		if err == nil && slices.Contains(names, name) {
			err = fmt.Errorf("%q is there twice", name)
		}
		if ok && err != nil {
			r.at(at, "write the path of one file from the top, such as .gitea/workflows/ci.yml", err)
		}
		names = append(names, name)
	})
	return names
}
