package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// Main is `bot-bottle guest probe`: a Plan comes in as JSON, Results go out. It
// gives the exit code, which is 0 whatever the tries found. The caller's user is
// the one that tries.
func Main(stdin io.Reader, stdout io.Writer) int {
	var plan Plan
	results, code := Results{}, 0
	if err := decode(stdin, &plan); err != nil {
		results.Error, code = fmt.Sprintf("reading the plan: %v", err), 1
	} else {
		results = Run(context.Background(), plan)
	}
	if err := json.NewEncoder(stdout).Encode(results); err != nil {
		return 1 // nobody is there to be told
	}
	return code
}
