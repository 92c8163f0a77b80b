//go:build !linux

package probe

import "context"

// Run gives only an error: a guest is always Linux.
func Run(context.Context, Plan) Results { return Results{Error: "a guest is always Linux"} }
