package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"golang.org/x/net/http2"
)

func serve(which string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{Handler: http.HandlerFunc(answer), ErrorLog: nil}
	if which == "std" {
		server.Protocols = new(http.Protocols)
		server.Protocols.SetUnencryptedHTTP2(true)
		server.Serve(listener)
		return
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			os.Exit(1)
		}
		go new(http2.Server).ServeConn(conn, &http2.ServeConnOpts{BaseConfig: server})
	}
}

func answer(w http.ResponseWriter, r *http.Request) {
	var plan Answer
	text, err := base64.RawURLEncoding.DecodeString(r.Header.Get("x-plan"))
	if err == nil {
		err = json.Unmarshal(text, &plan)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	controller := http.NewResponseController(w)
	saw := ""
	if plan.How != "early" {
		saw = see(r)
	}
	for i := 0; i < plan.Interims; i++ {
		w.Header().Set("link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
	}
	w.Header().Del("link")
	for _, field := range plan.Fields {
		w.Header().Add(field[0], field[1])
	}
	if saw != "" {
		w.Header().Set("x-saw", saw)
	}
	w.WriteHeader(plan.Status)
	if plan.How != "whole" {
		controller.Flush()
	}
	flush := func() { controller.Flush() }
	if writeChunks(w, plan.Chunks, flush) != nil || plan.How == "reset" {
		panic(http.ErrAbortHandler)
	}
	if plan.How == "early" {
		w.Header().Set(http.TrailerPrefix+"x-saw", see(r))
	}
	for _, field := range plan.Trailers {
		w.Header().Add(http.TrailerPrefix+field[0], field[1])
	}
}

// What came of a request, to be compared with what was sent.
func see(r *http.Request) string {
	body, err := digest(r.Body)
	if err != nil {
		body = "broken"
	}
	path := r.RequestURI
	if r.Method == http.MethodConnect {
		path = ""
	}
	return strings.Join([]string{r.Method, path, r.Host, own(r.Header), body, own(r.Trailer), "."}, " ")
}
