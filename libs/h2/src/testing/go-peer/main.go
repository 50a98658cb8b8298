// An HTTP/2 peer for tests, in both roles and of both implementations that Go has: that of net/http (`std`) and
// golang.org/x/net/http2 (`x`). It holds conversations as their plan says and tells what it saw of them.
//
// Usage: peer server std|x        prints its port; answers each request as its field x-plan says
//
//	peer client std|x PORT   a plan a line on stdin, its index and a result a line on stdout
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strings"
)

// Plan is one request and the answer to it.
type Plan struct {
	Index     int
	Method    string
	Path      string
	Authority string
	Fields    [][2]string
	Chunks    []int
	HasLength bool
	Trailers  [][2]string
	// Cancel: give up when the answer begins.
	Cancel bool
	Answer string
}

// Answer is what x-plan holds, as JSON in base64url.
type Answer struct {
	Status   int
	Interims int
	Fields   [][2]string
	Chunks   []int
	Trailers [][2]string
	// whole: after the request has ended; early: before its body was read; reset: broken off in its body.
	How string
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "server" {
		serve(os.Args[2])
	} else if len(os.Args) == 4 && os.Args[1] == "client" {
		ask(os.Args[2], os.Args[3])
	} else {
		fmt.Fprintln(os.Stderr, "usage: peer server std|x; peer client std|x PORT")
		os.Exit(2)
	}
}

// Bytes that tell where they belong: the same at both ends.
func pattern(from, length int) []byte {
	bytes := make([]byte, length)
	for i := range bytes {
		at := from + i
		bytes[i] = byte(at*31 + at>>8)
	}
	return bytes
}

func writeChunks(w io.Writer, chunks []int, after func()) error {
	at := 0
	for _, length := range chunks {
		if _, err := w.Write(pattern(at, length)); err != nil {
			return err
		}
		at += length
		after()
	}
	return nil
}

// Length and sum of a body.
func digest(body io.Reader) (string, error) {
	sum := sha256.New()
	length, err := io.Copy(sum, body)
	return fmt.Sprintf("%d:%s", length, hex.EncodeToString(sum.Sum(nil))[:16]), err
}

// Those that tests add; the rest is each implementation's own.
func own(header http.Header) string {
	var lines []string
	for name, values := range header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-t-") {
			lines = append(lines, lower+"="+strings.Join(values, "|"))
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, ";")
}
