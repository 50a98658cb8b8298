// The load of `go load`: requests at a steady rate whatever becomes of them, and connections that only stay.
//
// Usage: go load KIND:NUMBER:TARGET...   until standard input ends; then one JSON line a load, in their order
//
//	new:RATE:URL     RATE requests a second, each on a connection of its own
//	kept:RATE:URL    RATE requests a second on connections that stay; one that was cut is dialled again, as Go does for a GET
//	hold:COUNT:ADDR  COUNT connections to an echo server, a word on each every half second
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	patience   = 10 * time.Second
	wordEvery  = 500 * time.Millisecond
	connsMax   = 64
	answersMax = 1 << 20
	failedMax  = 100
)

// Report is what became of one load. Times are in milliseconds, moments since 1970.
type Report struct {
	Load   string         `json:"load"`
	Sent   int            `json:"sent"`
	OK     int            `json:"ok"`
	Errors map[string]int `json:"errors"`
	// When the first of them were seen.
	FailedAt []int64 `json:"failedAt"`
	// Connections that were opened; of `hold`, those that are still open.
	Dials int64   `json:"dials"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
	// When connections of `hold` ended.
	Cuts []int64 `json:"cuts"`
}

type load struct {
	mutex   sync.Mutex
	report  Report
	answers []float64
}

func (l *load) note(began time.Time, err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err != nil {
		l.report.Errors[reason(err)]++
		if len(l.report.FailedAt) < failedMax {
			l.report.FailedAt = append(l.report.FailedAt, time.Now().UnixMilli())
		}
		return
	}
	l.report.OK++
	if len(l.answers) < answersMax {
		l.answers = append(l.answers, float64(time.Since(began).Microseconds())/1000)
	}
}

// What went wrong while what was done, without the ports.
func reason(err error) string {
	var operation *net.OpError
	text := ""
	if errors.As(err, &operation) {
		text = operation.Op + ": "
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return text + err.Error()
}

func (l *load) finish() Report {
	sort.Float64s(l.answers)
	if count := len(l.answers); count > 0 {
		l.report.P50, l.report.P99, l.report.Max = l.answers[count/2], l.answers[count*99/100], l.answers[count-1]
	}
	return l.report
}

func generate(specs []string) int {
	over := make(chan struct{})
	loads := make([]*load, len(specs))
	var running sync.WaitGroup
	for i, spec := range specs {
		loads[i] = &load{report: Report{Load: spec, Errors: map[string]int{}, FailedAt: []int64{}, Cuts: []int64{}}}
		parts := strings.SplitN(spec, ":", 3)
		number := 0
		if len(parts) == 3 {
			number, _ = strconv.Atoi(parts[1])
		}
		if number <= 0 {
			fmt.Fprintln(os.Stderr, "not KIND:NUMBER:TARGET:", spec)
			return 2
		}
		running.Add(1)
		go func() {
			defer running.Done()
			if parts[0] == "hold" {
				loads[i].hold(number, parts[2], over)
			} else {
				loads[i].request(number, parts[2], parts[0] == "kept", over)
			}
		}()
	}
	fmt.Println("loads")
	io.Copy(io.Discard, os.Stdin)
	close(over)
	running.Wait()
	for _, one := range loads {
		json.NewEncoder(os.Stdout).Encode(one.finish())
	}
	return 0
}

func (l *load) request(rate int, url string, isKept bool, over chan struct{}) {
	var dials atomic.Int64
	dialer := &net.Dialer{Timeout: patience}
	transport := &http.Transport{
		DisableKeepAlives: !isKept, MaxConnsPerHost: 0, MaxIdleConnsPerHost: connsMax,
		Dial: func(network, address string) (net.Conn, error) {
			dials.Add(1)
			return dialer.Dial(network, address)
		},
	}
	client := &http.Client{Timeout: patience, Transport: transport}
	var open sync.WaitGroup
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	began := time.Now()
	for isOver := false; !isOver; {
		select {
		case <-over:
			isOver = true
			continue
		case <-ticker.C:
		}
		// A ticker drops what it is late for.
		for due := int(time.Since(began).Seconds() * float64(rate)); l.report.Sent < due; l.report.Sent++ {
			open.Add(1)
			go func() {
				defer open.Done()
				began := time.Now()
				l.note(began, ask(client, url))
			}()
		}
	}
	open.Wait()
	l.report.Dials = dials.Load()
}

func ask(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}

func (l *load) hold(count int, address string, over chan struct{}) {
	var open sync.WaitGroup
	for i := 0; i < count; i++ {
		open.Add(1)
		go func() {
			defer open.Done()
			l.stay(address, over)
		}()
	}
	open.Wait()
}

func (l *load) stay(address string, over chan struct{}) {
	began := time.Now()
	connection, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		l.note(began, err)
		return
	}
	defer connection.Close()
	word := []byte("still there?\n")
	for {
		began = time.Now()
		l.mutex.Lock()
		l.report.Sent++
		l.mutex.Unlock()
		connection.SetDeadline(began.Add(patience))
		if _, err = connection.Write(word); err == nil {
			_, err = io.ReadFull(connection, make([]byte, len(word)))
		}
		if err != nil {
			l.mutex.Lock()
			l.report.Cuts = append(l.report.Cuts, time.Now().UnixMilli())
			l.mutex.Unlock()
			return
		}
		l.note(began, nil)
		select {
		case <-over:
			l.mutex.Lock()
			l.report.Dials++
			l.mutex.Unlock()
			return
		case <-time.After(wordEvery):
		}
	}
}
