package probe

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// doorDeadline bounds a door's answer, which comes from another process on a host
// that may be busy.
const doorDeadline = 5 * time.Second

// askDoors asks all doors for their path. They are asked directly: no proxy
// variable matters.
func askDoors(ctx context.Context, doors []Door) []Answer {
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		Timeout:       doorDeadline,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answers := make([]Answer, len(doors))
	var asked sync.WaitGroup
	for i, d := range doors {
		asked.Go(func() { answers[i] = askDoor(ctx, client, d) })
	}
	asked.Wait()
	return answers
}

func askDoor(ctx context.Context, client *http.Client, d Door) Answer {
	start := time.Now()
	answer := Answer{Door: d.Name}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.Address+d.Path, nil)
	if err != nil {
		answer.Error = err.Error()
		return answer
	}
	response, err := client.Do(request)
	answer.Elapsed = time.Since(start)
	if err != nil {
		answer.Error = err.Error()
		return answer
	}
	io.Copy(io.Discard, io.LimitReader(response.Body, 1024))
	response.Body.Close()
	answer.Status = response.StatusCode
	return answer
}
