// A program of Go's two ways to Flight SQL, as a user would write it: ADBC's driver, and the `database/sql` driver of arrow-go.
// Usage: client ADDRESS USER [PURPOSE]. Prints one JSON object.
package main

import (
	"encoding/json"
	"log"
	"os"
)

const rows = "SELECT order_id, customer_id, region, quantity, amount FROM orders.order_events ORDER BY order_id LIMIT 20"
const filtered = "SELECT count(*) FROM orders.order_events WHERE region = ? AND quantity > ?"
const endless = "SELECT g.value, e.* FROM generate_series(1, 1000000) g CROSS JOIN orders.order_events e"

// who asks: address, user, whose password is the name, and purpose.
type who struct{ address, user, purpose string }

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: client ADDRESS USER [PURPOSE]")
	}
	asking := who{address: os.Args[1], user: os.Args[2]}
	if len(os.Args) > 3 {
		asking.purpose = os.Args[3]
	}
	facts := map[string]any{"adbc": throughADBC(asking), "sql": throughSQL(asking)}
	if err := json.NewEncoder(os.Stdout).Encode(facts); err != nil {
		log.Fatal(err)
	}
}

// must returns a value that cannot be missing: without it there is nothing more to find out.
func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// said is an error's text, or that there was none.
func said(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}
