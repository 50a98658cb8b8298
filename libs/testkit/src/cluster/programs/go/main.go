// A server and client as users write them in Go: nothing here knows of the mesh.
//
// Usage: go server [PORT]      HTTP on PORT (8080), TCP echo on PORT+1000; SIGTERM ends it after open requests
//
//	go get URL            prints the body; exit code 1 without an answer, 22 when it is not 2xx
//	go job URL            asks once, prints the body, ends
//	go load LOAD...       see load.go
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 2 && (os.Args[1] == "get" || os.Args[1] == "job") {
		os.Exit(get(os.Args[2]))
	}
	if len(os.Args) > 2 && os.Args[1] == "load" {
		os.Exit(generate(os.Args[2:]))
	}
	port := 8080
	if len(os.Args) > 2 {
		port, _ = strconv.Atoi(os.Args[2])
	}
	serve(port)
}

func serve(port int) {
	go echo(port + 1000)
	server := &http.Server{Addr: fmt.Sprintf(":%d", port), Handler: http.HandlerFunc(answer)}
	done := make(chan os.Signal, 1)
	signal.Notify(done, syscall.SIGTERM)
	go func() {
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		server.Shutdown(ctx)
	}()
	fmt.Println("listens on", port)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	w.Header().Set("content-type", "application/json")
	w.Header().Set("x-version", os.Getenv("VERSION"))
	json.NewEncoder(w).Encode(map[string]any{
		"pod": os.Getenv("POD_NAME"), "program": "go", "from": host, "path": r.URL.RequestURI(), "body": string(body),
		"headers": map[string]string{"x-forwarded-client-cert": r.Header.Get("x-forwarded-client-cert")},
	})
}

func echo(port int) {
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(connection, connection)
			connection.Close()
		}()
	}
}

func get(url string) int {
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer response.Body.Close()
	io.Copy(os.Stdout, response.Body)
	if response.StatusCode/100 != 2 {
		return 22
	}
	return 0
}
