package main

import (
	"context"

	"github.com/apache/arrow-adbc/go/adbc"
	"github.com/apache/arrow-adbc/go/adbc/driver/flightsql"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func (asking who) options(more map[string]string) map[string]string {
	options := map[string]string{
		adbc.OptionKeyURI:      "grpc://" + asking.address,
		adbc.OptionKeyUsername: asking.user,
		adbc.OptionKeyPassword: asking.user,
	}
	for name, value := range more {
		options[name] = value
	}
	return options
}

func open(options map[string]string) (adbc.Connection, func(), error) {
	ctx := context.Background()
	database, err := flightsql.NewDriver(memory.DefaultAllocator).NewDatabase(options)
	if err != nil {
		return nil, nil, err
	}
	connection, err := database.Open(ctx)
	if err != nil {
		database.Close()
		return nil, nil, err
	}
	return connection, func() { connection.Close(); database.Close() }, nil
}

func throughADBC(asking who) map[string]any {
	facts := map[string]any{}
	_, _, err := open(asking.options(map[string]string{adbc.OptionKeyPassword: "wrong"}))
	facts["wrong_password"] = said(err)

	header := map[string]string{}
	if asking.purpose != "" {
		header[flightsql.OptionRPCCallHeaderPrefix+"purpose"] = asking.purpose
	}
	connection, closeAll, err := open(asking.options(header))
	if err != nil {
		facts["error"] = said(err)
		return facts
	}
	defer closeAll()
	ask := func(sql string) ([][]string, error) { return query(context.Background(), connection, sql, nil) }

	facts["rows"] = must(ask(rows))
	facts["all_rows"] = must(ask("SELECT count(*) FROM orders.order_events"))
	bound := func(region string, quantity int32) arrow.RecordBatch {
		fields := []arrow.Field{{Name: "1", Type: arrow.BinaryTypes.String}, {Name: "2", Type: arrow.PrimitiveTypes.Int32}}
		builder := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
		defer builder.Release()
		builder.Field(0).(*array.StringBuilder).Append(region)
		builder.Field(1).(*array.Int32Builder).Append(quantity)
		return builder.NewRecordBatch()
	}
	facts["filtered"] = must(query(context.Background(), connection, filtered, bound("EU", 1)))
	facts["instant"] = must(ask("SELECT TIMESTAMP '2024-03-31T01:30:00.123456Z' AS t"))
	facts["table_schema"] = tableSchema(connection)
	facts["objects"] = objects(connection)
	_, err = ask("SELECT * FROM orders.nowhere")
	facts["no_table"] = said(err)
	facts["refused"] = said(update(connection, "DELETE FROM orders.order_events"))
	_, err = ask("SET purpose = 'fraud'")
	facts["set_without_cookies"] = said(err)
	facts["cancelled"] = cancelled(connection)
	facts["after_cancelling"] = must(ask("SELECT 1"))
	facts["session"] = session(asking)
	return facts
}

// query runs a statement, prepared where there is something to bind, and returns the rows' values as text.
func query(ctx context.Context, connection adbc.Connection, sql string, bound arrow.RecordBatch) ([][]string, error) {
	statement, err := connection.NewStatement()
	if err != nil {
		return nil, err
	}
	defer statement.Close()
	if err := statement.SetSqlQuery(sql); err != nil {
		return nil, err
	}
	if bound != nil {
		if err := statement.Prepare(ctx); err != nil {
			return nil, err
		}
		if err := statement.Bind(ctx, bound); err != nil {
			return nil, err
		}
	}
	reader, _, err := statement.ExecuteQuery(ctx)
	if err != nil {
		return nil, err
	}
	defer reader.Release()
	found := [][]string{}
	for reader.Next() {
		batch := reader.RecordBatch()
		for row := range int(batch.NumRows()) {
			values := []string{}
			for _, column := range batch.Columns() {
				values = append(values, text(column, row))
			}
			found = append(found, values)
		}
	}
	return found, reader.Err()
}

// text is a value as the gateway's own command writes it: with all digits of a decimal's scale.
func text(column arrow.Array, row int) string {
	if decimals, ok := column.(*array.Decimal128); ok && decimals.IsValid(row) {
		return decimals.Value(row).ToString(decimals.DataType().(*arrow.Decimal128Type).Scale)
	}
	return column.ValueStr(row)
}

func update(connection adbc.Connection, sql string) error {
	statement := must(connection.NewStatement())
	defer statement.Close()
	if err := statement.SetSqlQuery(sql); err != nil {
		return err
	}
	_, err := statement.ExecuteUpdate(context.Background())
	return err
}

func tableSchema(connection adbc.Connection) []string {
	domain := "orders"
	schema := must(connection.GetTableSchema(context.Background(), nil, &domain, "order_events"))
	columns := []string{}
	for _, field := range schema.Fields() {
		columns = append(columns, field.Name+": "+field.Type.String())
	}
	return columns
}

// objects are the tables that are listed, with their schemas in front.
func objects(connection adbc.Connection) []string {
	reader := must(connection.GetObjects(context.Background(), adbc.ObjectDepthTables, nil, nil, nil, nil, nil))
	defer reader.Release()
	names := []string{}
	for reader.Next() {
		batch := reader.RecordBatch()
		schemas := batch.Column(1).(*array.List).ListValues().(*array.Struct)
		tables := schemas.Field(1).(*array.List)
		for schema := range schemas.Len() {
			begin, end := tables.ValueOffsets(schema)
			name := tables.ListValues().(*array.Struct).Field(0).(*array.String)
			for table := begin; table < end; table++ {
				names = append(names, schemas.Field(0).(*array.String).Value(schema)+"."+name.Value(int(table)))
			}
		}
	}
	return names
}

// cancelled reads one batch of a long result and then cancels its context.
func cancelled(connection adbc.Connection) string {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	statement := must(connection.NewStatement())
	defer statement.Close()
	if err := statement.SetSqlQuery(endless); err != nil {
		return said(err)
	}
	reader, _, err := statement.ExecuteQuery(ctx)
	if err != nil {
		return "before the first row: " + said(err)
	}
	defer reader.Release()
	if !reader.Next() {
		return "no row: " + said(reader.Err())
	}
	cancel()
	for reader.Next() {
	}
	return said(reader.Err())
}

// session sets a purpose in SQL, for a connection that keeps cookies.
func session(asking who) [][]string {
	connection, closeAll, err := open(asking.options(map[string]string{flightsql.OptionCookieMiddleware: adbc.OptionValueEnabled}))
	if err != nil {
		return [][]string{{said(err)}}
	}
	defer closeAll()
	ctx := context.Background()
	must(query(ctx, connection, "SELECT 1", nil))
	if asking.purpose != "" {
		must(query(ctx, connection, "SET purpose = '"+asking.purpose+"'", nil))
	}
	must(query(ctx, connection, "SET schema = 'orders'", nil))
	return must(query(ctx, connection, "SELECT order_id, customer_id, region, quantity, amount FROM order_events ORDER BY order_id LIMIT 20", nil))
}
