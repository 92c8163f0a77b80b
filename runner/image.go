package runner

import (
	"context"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/image"
	"github.com/bot-bottle/action/internal/report"
)

// unpackImage makes a folder of an image that is an archive or a registry's, or
// takes the one that is there. It has no effect but on the cache.
func (r *run) unpackImage(ctx context.Context) error {
	from := r.plan.Policy.Image
	cache := image.NewCache(filepath.Join(r.deps.Places.State, "images"), image.Limits{})
	var root string
	var facts image.Facts
	var err error
	if from.Archive != "" {
		root, facts, err = cache.FromArchive(ctx, from.Archive)
	} else {
		root, facts, err = cache.FromRegistry(ctx, from.Reference, !r.plan.UnderRunner)
	}
	if err != nil {
		return err
	}
	r.plan.Policy.Image.Archive, r.plan.Policy.Image.Reference, r.plan.Policy.Image.Rootfs = "", "", root
	r.imagePath = pathOf(facts.Env)
	r.report.Image = &report.Image{Source: from.Archive + from.Reference, Manifest: facts.Manifest, Config: facts.Config}
	return nil
}

// pathOf gives the PATH that an image sets, if every part of it is a folder's
// path; nothing else of its environment counts.
func pathOf(env []string) string {
	for _, v := range env {
		value, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		if slices.ContainsFunc(filepath.SplitList(value), func(p string) bool { return !path.IsAbs(p) }) {
			return ""
		}
		return value
	}
	return ""
}
