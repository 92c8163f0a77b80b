package gitea

import "errors"

// errNoAnswer says that the forge's answer lacks what was asked for.
var errNoAnswer = errors.New("the answer lacks what was asked for")

// errManyPages says that maxPages were not enough.
var errManyPages = errors.New("reading the forge's answer: it has too many pages")

// pages asks for page after page until one is empty or, as Gitea's list of
// comments knows no pages and is whole each time, brings nothing new.
func pages[T any](ask func(page int) ([]T, error), id func(T) int64) ([]T, error) {
	var all []T
	seen := map[int64]bool{}
	for page := 1; page <= maxPages; page++ {
		list, err := ask(page)
		if err != nil {
			return nil, err
		}
		before := len(all)
		for _, entry := range list {
			if !seen[id(entry)] {
				seen[id(entry)] = true
				all = append(all, entry)
			}
		}
		if len(all) == before {
			return all, nil
		}
	}
	return nil, errManyPages
}
