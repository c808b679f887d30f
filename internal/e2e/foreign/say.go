package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"strings"
)

// say says to NOTIFY_SOCKET what comes in a pipe: the words of a line in one message.
// It notes each message in a file beside the pipe.
func say(pipe string) {
	words, err := os.OpenFile(pipe, os.O_RDWR, 0) // it never ends
	if err != nil {
		log.Fatal(err)
	}
	for in := bufio.NewScanner(words); in.Scan(); {
		tell(strings.ReplaceAll(in.Text(), " ", "\n"))
		said, err := os.OpenFile(pipe+".said", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprintln(said, in.Text())
		_ = said.Close()
	}
	log.Fatal("the pipe has ended")
}
