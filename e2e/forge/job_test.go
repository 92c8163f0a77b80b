package forge

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
)

// run is a run of a workflow, as the API tells of it.
type run struct {
	ID                 int64
	Event              string
	Status, Conclusion string
	HeadSHA            string `json:"head_sha"`
}

// job is one of a run's.
type job struct {
	ID                 int64
	Name               string
	Status, Conclusion string
}

func (r *repository) runs(ctx context.Context) ([]run, error) {
	var answer struct {
		Runs []run `json:"workflow_runs"`
	}
	return answer.Runs, r.as.get(ctx, r.path("/actions/runs"), &answer)
}

// awaitRunAfter waits until there is a run that is none of before, and gives it.
func (r *repository) awaitRunAfter(ctx context.Context, before []run) (found run, err error) {
	return found, eventually(ctx, "a run of a workflow of "+r.fullName()+" is there", func() (bool, error) {
		all, err := r.runs(ctx)
		for _, one := range all {
			if !slices.ContainsFunc(before, func(b run) bool { return b.ID == one.ID }) {
				found = one
				return true, nil
			}
		}
		return false, err
	})
}

// job gives the only job of the run.
func (r *repository) job(ctx context.Context, of run) (job, error) {
	var answer struct{ Jobs []job }
	if err := r.as.get(ctx, r.path(fmt.Sprintf("/actions/runs/%d/jobs", of.ID)), &answer); err != nil {
		return job{}, err
	}
	if len(answer.Jobs) != 1 {
		return job{}, fmt.Errorf("run %d has %d jobs", of.ID, len(answer.Jobs))
	}
	return answer.Jobs[0], nil
}

// awaitEnd waits until the run's job is over and gives it. What the forge says of
// its end may be wrong: a green job is no proof of anything.
func (r *repository) awaitEnd(ctx context.Context, of run) (ended job, err error) {
	return ended, eventually(ctx, fmt.Sprintf("run %d is over", of.ID), func() (bool, error) {
		ended, err = r.job(ctx, of)
		return ended.Status == "completed", err
	})
}

// log is what the run's job has said so far. It is whole once the job is over, since
// the runner sends the end of it before it says how the job ended; of a cancelled
// one the forge knows without the runner, and the end of the log may be missing.
func (r *repository) log(ctx context.Context, of run) (text string, err error) {
	j, err := r.job(ctx, of)
	if err != nil {
		return "", err
	}
	return text, r.as.get(ctx, r.path(fmt.Sprintf("/actions/jobs/%d/logs", j.ID)), &text)
}

// awaitLog waits until the log of a job that isn't over has text. Errors on the way
// are none: the forge has one for a log that has not begun, or is being moved.
func (r *repository) awaitLog(ctx context.Context, of run, text string) error {
	var said string
	var last error
	err := eventually(ctx, fmt.Sprintf("the log of run %d has %q", of.ID, text), func() (bool, error) {
		j, err := r.job(ctx, of)
		if err != nil {
			return false, err
		}
		if said, last = r.log(ctx, of); strings.Contains(said, text) {
			return true, nil
		}
		if j.Status == "completed" {
			return false, fmt.Errorf("the job ended with %q", j.Conclusion)
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("%w\nlast answer: %v, log:\n%s", err, last, said)
	}
	return nil
}

// cancel does what a person does who presses the button: the API has nothing for it
// (1.26).
func (r *repository) cancel(ctx context.Context, of run) error { return r.press(ctx, of, "cancel") }

// press sends the form of a button on the run's page, as the repository's owner.
func (r *repository) press(ctx context.Context, of run, button string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	browser := &http.Client{Jar: jar, Timeout: patience}
	login := url.Values{"user_name": {r.as.login}, "password": {r.forge.password}}
	if err := submit(ctx, browser, r.forge.url+"/user/login", login); err != nil {
		return err
	}
	return submit(ctx, browser, fmt.Sprintf("%s/%s/actions/runs/%d/%s", r.forge.url, r.fullName(), of.ID, button), nil)
}

func submit(ctx context.Context, browser *http.Client, to string, form url.Values) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := browser.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var page string
	return read(answer, http.MethodPost, to, &page)
}
