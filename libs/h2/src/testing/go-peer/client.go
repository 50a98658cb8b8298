package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"sync"

	"golang.org/x/net/http2"
)

// Result is what a client saw of an answer.
type Result struct {
	Index    int
	Status   int
	Interims int
	Fields   string
	Body     string
	Trailers string
	Saw      string
	Failed   bool
	Error    string
}

func transport(which string) http.RoundTripper {
	if which == "std" {
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		return &http.Transport{Protocols: protocols}
	}
	return &http2.Transport{
		AllowHTTP: true,
		DialTLSContext: func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
}

func ask(which, port string) {
	client := transport(which)
	lines := bufio.NewReader(os.Stdin)
	var all sync.WaitGroup
	var output sync.Mutex
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var plan Plan
		if err := json.Unmarshal(line, &plan); err != nil {
			panic(err)
		}
		all.Add(1)
		go func() {
			defer all.Done()
			text, _ := json.Marshal(exchange(client, port, plan))
			output.Lock()
			defer output.Unlock()
			fmt.Println(string(text))
		}()
	}
	all.Wait()
}

func exchange(client http.RoundTripper, port string, plan Plan) (result Result) {
	result.Index = plan.Index
	fail := func(err error) Result {
		result.Failed = true
		result.Error = err.Error()
		return result
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	trace := &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
		result.Interims++
		return nil
	}}
	request := &http.Request{
		Method: plan.Method,
		URL:    &url.URL{Scheme: "http", Host: "127.0.0.1:" + port},
		Host:   plan.Authority,
		Header: http.Header{"X-Plan": {plan.Answer}},
	}
	if plan.Method != http.MethodConnect {
		request.URL.Opaque = plan.Path
	}
	for _, field := range plan.Fields {
		request.Header.Add(field[0], field[1])
	}
	withBody(request, plan)
	response, err := client.RoundTrip(request.WithContext(httptrace.WithClientTrace(ctx, trace)))
	if err != nil {
		return fail(err)
	}
	defer response.Body.Close()
	result.Status = response.StatusCode
	result.Fields = own(response.Header)
	result.Saw = response.Header.Get("x-saw")
	if plan.Cancel {
		return result
	}
	if result.Body, err = digest(response.Body); err != nil {
		return fail(err)
	}
	result.Trailers = own(response.Trailer)
	if saw := response.Trailer.Get("x-saw"); saw != "" {
		result.Saw = saw
	}
	return result
}

func withBody(request *http.Request, plan Plan) {
	if len(plan.Chunks) == 0 && len(plan.Trailers) == 0 {
		return
	}
	reader, writer := io.Pipe()
	request.Body = reader
	request.ContentLength = -1
	if plan.HasLength {
		request.ContentLength = 0
		for _, length := range plan.Chunks {
			request.ContentLength += int64(length)
		}
	}
	if len(plan.Trailers) > 0 {
		request.Trailer = http.Header{}
		for _, field := range plan.Trailers {
			request.Trailer[http.CanonicalHeaderKey(field[0])] = nil
		}
	}
	go func() {
		err := writeChunks(writer, plan.Chunks, func() {})
		for _, field := range plan.Trailers {
			request.Trailer.Add(field[0], field[1])
		}
		writer.CloseWithError(err)
	}()
}
