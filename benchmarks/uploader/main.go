// Uploads bodies as a gateway of the network does (the standard library's client), or, with -discard, is the backend
// that reads what nginx passes on and forgets it. Standard library only; compiled by benchmarks/upload.py.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

type figures struct {
	WallS    float64     `json:"wall_s"`
	EachS    []float64   `json:"each_s"`
	Statuses map[int]int `json:"statuses"`
	Protocol string      `json:"protocol"`
}

func main() {
	discard := flag.String("discard", "", "be the discarding backend on this unix socket")
	url := flag.String("url", "", "where to post")
	file := flag.String("body", "", "file with the body")
	headers := flag.String("headers", "", "file with a header per line")
	count := flag.Int("count", 1, "bodies per run")
	parallel := flag.Int("parallel", 1, "bodies at once")
	http1 := flag.Bool("http1", false, "HTTP/1.1 instead of HTTP/2")
	flag.Parse()
	var err error
	if *discard != "" {
		err = serve(*discard)
	} else {
		err = upload(*url, *file, *headers, *count, *parallel, *http1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(path string) error {
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buffer := make([]byte, 256<<10)
		for {
			if _, err := r.Body.Read(buffer); err != nil {
				break
			}
		}
		w.WriteHeader(http.StatusForbidden)
	}))
}

// upload answers each line of stdin with one run of count bodies, over connections that stay open between runs.
func upload(url, file, headerFile string, count, parallel int, http1 bool) error {
	body, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	lines, err := os.ReadFile(headerFile)
	if err != nil {
		return err
	}
	header := http.Header{}
	for _, line := range strings.Split(strings.TrimSpace(string(lines)), "\n") {
		if name, value, found := strings.Cut(line, ": "); found {
			header.Set(name, value)
		}
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2:   !http1,
		MaxIdleConnsPerHost: parallel,
	}
	if http1 {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	client := &http.Client{Transport: transport, Timeout: 120 * time.Second}
	runs := bufio.NewScanner(os.Stdin)
	for runs.Scan() {
		result, err := run(client, url, body, header, count, parallel)
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
			return err
		}
	}
	return runs.Err()
}

func run(client *http.Client, url string, body []byte, header http.Header, count, parallel int) (*figures, error) {
	result := &figures{Statuses: map[int]int{}}
	var lock sync.Mutex
	var failure error
	work := make(chan struct{}, count)
	for i := 0; i < count; i++ {
		work <- struct{}{}
	}
	close(work)
	var workers sync.WaitGroup
	began := time.Now()
	for i := 0; i < parallel; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for range work {
				started := time.Now()
				status, protocol, err := post(client, url, body, header)
				took := time.Since(started).Seconds()
				lock.Lock()
				if err != nil {
					failure = err
				} else {
					result.EachS = append(result.EachS, took)
					result.Statuses[status]++
					result.Protocol = protocol
				}
				lock.Unlock()
			}
		}()
	}
	workers.Wait()
	result.WallS = time.Since(began).Seconds()
	return result, failure
}

func post(client *http.Client, url string, body []byte, header http.Header) (int, string, error) {
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header = header.Clone()
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Proto, err
}
