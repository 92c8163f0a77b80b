package forge

import (
	"fmt"
	"slices"
	"strings"
)

// OwnedRepository is one of an owner's that the host's credential sees.
type OwnedRepository struct {
	Repository
	Admin bool // the credential administers it, by the forge's word
}

// maxOwnedPages bounds a listing of repositories: some ten thousand of them.
const maxOwnedPages = 200

// ListOwned reads page after page, from the first, as long as the forge names a next
// one: a page may be empty, or short, and not the last, where the forge leaves out
// what the credential may not see. What belongs to another owner is left out. After
// an error it gives what was read before.
func ListOwned(owner string, page func(number int) (list []OwnedRepository, next int, err error)) ([]OwnedRepository, error) {
	var all []OwnedRepository
	seen := map[int64]bool{}
	for number, pages := 1, 0; number > 0; pages++ {
		if pages == maxOwnedPages {
			return all, fmt.Errorf("reading the repositories of %q: there are more than %d pages", owner, maxOwnedPages)
		}
		list, next, err := page(number)
		if err != nil {
			return all, err
		}
		for _, r := range list {
			if name, _, err := SplitRepository(r.FullName); err == nil && strings.EqualFold(name, owner) && r.ID > 0 && !seen[r.ID] {
				seen[r.ID] = true
				all = append(all, r)
			}
		}
		if next <= number {
			break
		}
		number = next
	}
	slices.SortFunc(all, func(a, b OwnedRepository) int { return strings.Compare(a.FullName, b.FullName) })
	return all, nil
}
