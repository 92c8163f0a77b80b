package workspace

import "context"

// Head gives the commit that is checked out, in full. Errors are as of Open.
func (c *Checkout) Head(ctx context.Context) (string, error) { return c.head(ctx) }
