// A generator whose schedule waits for nobody: requests are due at fixed times, and a latency counts from when its request was
// due, so that a stall shows in all requests that it held up.
//
// Usage: open-loop HTTP URL HOST HEADER=VALUE CONNECTIONS RATE SECONDS WARM_UP_SECONDS
//
// HTTP is 1, or 2 for HTTP/2 with prior knowledge. Prints one line of JSON.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/http2"
)

type report struct {
	Requests int     `json:"requests"`
	Failed   int     `json:"failed"`
	Seconds  float64 `json:"seconds"`
	P50      float64 `json:"p50"`
	P90      float64 `json:"p90"`
	P99      float64 `json:"p99"`
}

func number(text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(err)
	}
	return value
}

// One connection each.
func transport(version string) http.RoundTripper {
	if version == "2" {
		return &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		}}
	}
	return &http.Transport{MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, DisableCompression: true}
}

// Go's timers are as coarse as a poll; a thread that sleeps is not.
func sleepUntil(due time.Time) {
	for left := time.Until(due); left > 0; left = time.Until(due) {
		wait := syscall.NsecToTimespec(left.Nanoseconds())
		syscall.Nanosleep(&wait, nil)
	}
}

func main() {
	if len(os.Args) != 9 {
		fmt.Fprintln(os.Stderr, "usage: open-loop HTTP URL HOST HEADER=VALUE CONNECTIONS RATE SECONDS WARM_UP_SECONDS")
		os.Exit(2)
	}
	version, url, host := os.Args[1], os.Args[2], os.Args[3]
	name, value, _ := strings.Cut(os.Args[4], "=")
	connections := int(number(os.Args[5]))
	interval := time.Duration(float64(connections) / number(os.Args[6]) * 1e9)
	seconds := number(os.Args[7])
	begin := time.Now().Add(50 * time.Millisecond)
	counted := begin.Add(time.Duration(number(os.Args[8]) * 1e9))
	end := counted.Add(time.Duration(seconds * 1e9))
	// A thread that sleeps keeps its processor of Go's, and with as few of them as cores an answer would wait for one.
	runtime.GOMAXPROCS(connections + 2)
	var all sync.WaitGroup
	var lock sync.Mutex
	var latencies []float64
	failed := 0
	for index := 0; index < connections; index++ {
		all.Add(1)
		go func() {
			defer all.Done()
			runtime.LockOSThread()
			client := transport(version)
			var own []float64
			broken := 0
			due := begin.Add(interval * time.Duration(index) / time.Duration(connections))
			for ; due.Before(end); due = due.Add(interval) {
				sleepUntil(due)
				isGood := ask(client, url, host, name, value)
				if due.Before(counted) {
					continue
				}
				if isGood {
					own = append(own, float64(time.Since(due).Nanoseconds())/1e6)
				} else {
					broken++
				}
			}
			lock.Lock()
			defer lock.Unlock()
			latencies = append(latencies, own...)
			failed += broken
		}()
	}
	if number(os.Args[8]) > 0 {
		sleepUntil(counted)
	}
	fmt.Println("counting")
	all.Wait()
	sort.Float64s(latencies)
	at := func(share float64) float64 {
		if len(latencies) == 0 {
			return 0
		}
		return latencies[int(share*float64(len(latencies)-1))]
	}
	text, _ := json.Marshal(report{len(latencies) + failed, failed, seconds, at(0.5), at(0.9), at(0.99)})
	fmt.Println(string(text))
}

func ask(client http.RoundTripper, url, host, name, value string) bool {
	request, err := http.NewRequest("GET", url, nil)
	if err != nil {
		panic(err)
	}
	if host != "" {
		request.Host = host
	}
	if name != "" {
		request.Header.Set(name, value)
	}
	response, err := client.RoundTrip(request)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	return err == nil && response.StatusCode == 200
}
