package main

import (
	"context"
	"database/sql"
	"net/url"
	"time"

	_ "github.com/apache/arrow-go/v18/arrow/flight/flightsql/driver"
)

func throughSQL(asking who) map[string]any {
	facts := map[string]any{}
	address := func(password string) string {
		parameters := url.Values{"timeout": {"60s"}}
		if asking.purpose != "" {
			parameters.Set("purpose", asking.purpose)
		}
		dsn := url.URL{Scheme: "flightsql", User: url.UserPassword(asking.user, password), Host: asking.address, RawQuery: parameters.Encode()}
		return dsn.String()
	}
	wrong := must(sql.Open("flightsql", address("wrong")))
	defer wrong.Close()
	facts["wrong_password"] = said(wrong.QueryRow("SELECT 1").Scan(new(int64)))

	database := must(sql.Open("flightsql", address(asking.user)))
	defer database.Close()
	facts["rows"] = events(database)
	var count int64
	if err := database.QueryRow(filtered, "EU", int32(1)).Scan(&count); err != nil {
		facts["filtered_as_it_is"] = said(err)
	}
	err := database.QueryRow("SELECT count(*) FROM orders.order_events WHERE region = ? AND quantity > CAST(? AS BIGINT)", "EU", 1).Scan(&count)
	if err != nil {
		facts["error"] = said(err)
	}
	facts["filtered"] = count
	var instant time.Time
	if err := database.QueryRow("SELECT TIMESTAMP '2024-03-31T01:30:00.123456' AS t").Scan(&instant); err != nil {
		facts["error"] = said(err)
	}
	facts["instant"] = instant.UTC().Format(time.RFC3339Nano)
	var nothing sql.NullString
	if err := database.QueryRow("SELECT CAST(NULL AS VARCHAR) AS nothing").Scan(&nothing); err != nil {
		facts["error"] = said(err)
	}
	facts["null"] = !nothing.Valid
	_, err = database.Query("SELECT * FROM orders.nowhere")
	facts["no_table"] = said(err)
	_, err = database.Exec("DELETE FROM orders.order_events")
	facts["refused"] = said(err)
	_, err = database.BeginTx(context.Background(), nil)
	facts["transaction"] = said(err)
	return facts
}

// events has the values of the query that all clients ask as text; the driver makes floats of decimals, so text is asked for.
func events(database *sql.DB) [][]string {
	found := must(database.Query("SELECT order_id, customer_id, region, CAST(quantity AS VARCHAR), CAST(amount AS VARCHAR) FROM orders.order_events ORDER BY order_id LIMIT 20"))
	defer found.Close()
	values := [][]string{}
	for found.Next() {
		row := make([]string, 5)
		if err := found.Scan(&row[0], &row[1], &row[2], &row[3], &row[4]); err != nil {
			return append(values, []string{said(err)})
		}
		values = append(values, row)
	}
	if err := found.Err(); err != nil {
		return append(values, []string{said(err)})
	}
	return values
}
