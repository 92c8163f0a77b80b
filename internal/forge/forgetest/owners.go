package forgetest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// CredentialOwner is whose the Credential is.
const CredentialOwner = "bot"

// AddOwner makes a person or, if it is one, an organisation.
func (f *KeyForge) AddOwner(name string, organisation bool) {
	f.do(func() {
		if f.kinds[name] = "User"; organisation {
			f.kinds[name] = "Organization"
		}
	})
}

// SetStranger makes a repository one that the credential sees and doesn't administer.
func (f *KeyForge) SetStranger(id int64) { f.do(func() { f.others[id] = true }) }

func (f *KeyForge) account(name string) Answer {
	if f.kinds[name] == "" {
		return refusal(http.StatusNotFound, "Not Found")
	}
	return Answer{Body: fmt.Sprintf(`{"login": %q, "type": %q}`, name, f.kinds[name])}
}

// ownedBy gives a page of an owner's repositories. As the forges do, it counts those
// that the credential may not see and leaves them out of their page.
func (f *KeyForge) ownedBy(r *http.Request, owner string) Answer {
	if f.kinds[owner] == "" {
		return refusal(http.StatusNotFound, "user redirect does not exist")
	}
	ids := f.owned(owner)
	page, size := max(1, int(number(r.URL.Query().Get("page")))), f.pageSize
	from := min(len(ids), (page-1)*size)
	var shown []string
	for _, id := range ids[from:min(len(ids), from+size)] {
		if a := f.repository(id); a.Status == 0 {
			shown = append(shown, a.Body)
		}
	}
	a := Answer{Body: "[" + strings.Join(shown, ",") + "]"}
	if from+size < len(ids) {
		next := *r.URL
		query := next.Query()
		query.Set("page", fmt.Sprint(page+1))
		next.RawQuery = query.Encode()
		a.Header = map[string]string{"Link": fmt.Sprintf(`<%s%s>; rel="next"`, f.URL, next.RequestURI())}
	}
	return a
}

// owned gives the ids of an owner's repositories, hidden ones too.
func (f *KeyForge) owned(owner string) (ids []int64) {
	for id, name := range f.names {
		if strings.HasPrefix(name, owner+"/") {
			ids = append(ids, id)
		}
	}
	for id, name := range f.hidden {
		if strings.HasPrefix(name, owner+"/") {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
