package forge

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAStatusIsAsShortAsEveryForgeTakesIt(t *testing.T) {
	short := Status{Description: strings.Repeat("é", 300)}.Short()
	if n := utf8.RuneCountInString(short); n != maxDescription || !strings.HasSuffix(short, "…") {
		t.Errorf("%d characters: %q", n, short)
	}
	if got := (Status{Description: "passed"}).Short(); got != "passed" {
		t.Errorf("got %q", got)
	}
}

func TestOnlyTheAuthorsIssuesAreOurs(t *testing.T) {
	we, stranger := User{ID: 7, Login: "bot"}, User{ID: 8, Login: "bot"}
	own := OwnIssues([]Issue{
		{Number: 9, Title: "red", Author: we}, {Number: 2, Title: "red", Author: stranger},
		{Number: 5, Title: "other", Author: we}, {Number: 3, Title: "red", Author: we},
	}, we, "red")
	if len(own) != 2 || own[0].Number != 3 || own[1].Number != 9 {
		t.Errorf("got %+v", own)
	}
}
