package runner

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/bot-bottle/action/internal/image"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
)

// unpackImage makes a folder of an image that is an archive or a registry's, or
// takes the one that is there. It has no effect but on the cache, which keeps the
// folder until Run ends.
func (r *run) unpackImage(ctx context.Context) error {
	from := r.plan.Policy.Image
	cache := image.NewCache(filepath.Join(r.deps.Places.State, "images"), image.Options{
		Progress: r.tellUnpacked(from.Source(), tellEvery),
		Warn:     func(err error) { r.deps.Log.Warn().Err(err).Msg("keeping images") },
	})
	var err error
	if from.Archive != "" {
		r.lease, err = cache.FromArchive(ctx, from.Archive)
	} else {
		r.lease, err = cache.FromRegistry(ctx, from.Reference, r.registries())
	}
	if err != nil {
		return err
	}
	r.plan.Policy.Image.Archive, r.plan.Policy.Image.Reference, r.plan.Policy.Image.Rootfs = "", "", r.lease.Rootfs
	r.imagePath = r.lease.Facts.Path
	r.report.Image = &report.Image{Source: from.Source(), Manifest: r.lease.Manifest, Config: r.lease.Facts.Config}
	return nil
}

// registries says how registries are spoken to: under a runner without anything
// that the job could have named.
func (r *run) registries() image.Registries {
	if r.plan.UnderRunner && !r.deps.Registries.OnlyRoot {
		return image.Registries{}
	}
	return r.deps.Registries
}

// tellEvery is how often somebody who waits for an image hears of it.
const tellEvery = 5 * time.Second

// tellUnpacked gives what tells the log, and a Teller, how far an image has come.
func (r *run) tellUnpacked(source string, every time.Duration) func(int64) {
	told := time.Now()
	return func(bytes int64) {
		if time.Since(told) < every {
			return
		}
		told = time.Now()
		r.deps.Log.Info().Str("image", source).Int64("bytes", bytes).Msg("unpacking")
		if t, ok := r.deps.Progress.(Teller); ok {
			t.Tell(fmt.Sprintf("unpacking %s: %s by now", source, term.Bytes(bytes)))
		}
	}
}
