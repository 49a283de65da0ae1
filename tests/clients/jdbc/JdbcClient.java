import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.math.BigDecimal;
import java.sql.*;
import java.time.Instant;
import java.time.LocalDateTime;
import java.util.*;

/**
 * The Arrow Flight SQL JDBC driver: metadata as DBeaver asks for it, prepared statements, timestamps. Prints one JSON object.
 *
 * <p>usage: JdbcClient HOST:PORT USER [PURPOSE] (the password is the user's name, as in the demo)
 */
public class JdbcClient {
  private static final String ROWS =
      "SELECT order_id, customer_id, region, quantity, amount FROM orders.order_events ORDER BY order_id LIMIT 20";
  private static final String ENDLESS =
      "SELECT g.value, e.* FROM generate_series(1, 1000000) g CROSS JOIN orders.order_events e";
  private static final String TIMES =
      "SELECT arrow_cast('2024-03-31T01:30:00.123456', 'Timestamp(Microsecond, Some(\"+00:00\"))') AS instant,"
          + " arrow_cast('2024-03-31T01:30:00.123456', 'Timestamp(Microsecond, None)') AS local,"
          + " DATE '2024-02-29' AS day";

  private final Map<String, Object> facts = new LinkedHashMap<>();

  public static void main(String[] arguments) {
    int code = 0;
    try {
      JdbcClient client = new JdbcClient();
      client.run(arguments[0], arguments[1], arguments.length > 2 ? arguments[2] : null);
      System.out.println(json(client.facts));
    } catch (Throwable error) {
      error.printStackTrace();
      code = 1;
    }
    System.out.flush();
    // The driver's threads outlive a connection that was not closed.
    Runtime.getRuntime().halt(code);
  }

  private void run(String address, String user, String purpose) throws Exception {
    String url = "jdbc:arrow-flight-sql://" + address + "/?useEncryption=false&user=" + user + "&password=";
    try {
      DriverManager.getConnection(url + "wrong");
    } catch (SQLException error) {
      facts.put("wrong_password", text(error));
    }
    // The purpose is no parameter that the driver knows, so it becomes a header.
    url += user + (purpose == null ? "" : "&purpose=" + purpose);
    try (Connection connection = DriverManager.getConnection(url)) {
      facts.put("rows", rows(connection.createStatement().executeQuery(ROWS)));
      facts.put("labels", labels(connection));
      metadata(connection.getMetaData());
      facts.put("parameters", parameters(connection));
      facts.put("filtered", filtered(connection));
      times(connection);
      errors(connection);
      facts.put("fetched", fetched(connection));
      facts.put("all_rows", count(connection.createStatement().executeQuery("SELECT * FROM orders.order_events")));
    }
    try (Connection connection = DriverManager.getConnection(url); Statement statement = connection.createStatement()) {
      statement.execute("SET schema = 'orders'");
      facts.put("session", rows(statement.executeQuery(ROWS.replace("orders.", ""))));
      facts.put("cancelled", cancelled(statement));
    }
    // With `catalog` the driver sets a session option; it fails in its own close() afterwards.
    Connection withCatalog = DriverManager.getConnection(url + "&catalog=mesh");
    facts.put("with_catalog", rows(withCatalog.createStatement().executeQuery("SELECT 1 AS one")));
    try {
      DriverManager.getConnection(url + "&catalog=other");
    } catch (SQLException error) {
      facts.put("other_catalog", "refused");
    }
  }

  /** What tools set before they ask: how many rows at a time, how many at all, for how long, and in which catalogue. */
  private static List<Object> fetched(Connection connection) throws SQLException {
    connection.setCatalog("mesh");
    try (Statement statement = connection.createStatement()) {
      statement.setFetchSize(7);
      statement.setQueryTimeout(60);
      int all = count(statement.executeQuery("SELECT order_id FROM orders.order_events"));
      statement.setMaxRows(3);
      return List.of(all, count(statement.executeQuery("SELECT order_id FROM orders.order_events")));
    }
  }

  /** Cancels a long result after its first row, and reads on. */
  private static String cancelled(Statement statement) throws SQLException {
    try (ResultSet set = statement.executeQuery(ENDLESS)) {
      set.next();
      statement.cancel();
      while (set.next()) {}
      return "the result ended as if it were whole";
    } catch (SQLException error) {
      return text(error);
    }
  }

  private void metadata(DatabaseMetaData metadata) throws Exception {
    facts.put("catalogs", rows(metadata.getCatalogs()));
    facts.put("schemas", rows(metadata.getSchemas()));
    facts.put("schemas_by_pattern", rows(metadata.getSchemas("mesh", "ord%")));
    facts.put("table_types", rows(metadata.getTableTypes()));
    facts.put("tables", rows(metadata.getTables(null, null, null, null), 4));
    String name = "order" + metadata.getSearchStringEscape() + "_events";
    facts.put("one_table", rows(metadata.getTables("mesh", "orders", name, new String[] {"TABLE"}), 4));
    facts.put("no_view", rows(metadata.getTables(null, null, "%", new String[] {"VIEW"}), 4));
    List<List<String>> columns = new ArrayList<>();
    try (ResultSet set = metadata.getColumns(null, "orders", name, "%")) {
      while (set.next()) {
        columns.add(
            List.of(
                set.getString("COLUMN_NAME"),
                set.getString("TYPE_NAME"),
                String.valueOf(set.getInt("DATA_TYPE")),
                set.getString("IS_NULLABLE"),
                String.valueOf(set.getInt("COLUMN_SIZE")),
                String.valueOf(set.getInt("DECIMAL_DIGITS")),
                String.valueOf(set.getString("REMARKS"))));
      }
    }
    facts.put("columns", columns);
    facts.put("primary_keys", rows(metadata.getPrimaryKeys(null, "orders", "order_events")));
    facts.put("imported_keys", count(metadata.getImportedKeys(null, "orders", "order_events")));
    count(metadata.getExportedKeys(null, "orders", "order_events"));
    count(metadata.getCrossReference(null, "orders", "order_events", null, "orders", "customer_orders_v1"));
    count(metadata.getTypeInfo());
    facts.put("broken_getters", brokenGetters(metadata));
    facts.put("product", metadata.getDatabaseProductName());
    facts.put("read_only", metadata.isReadOnly());
    facts.put("transactions", metadata.supportsTransactions());
    facts.put("full_outer_joins", metadata.supportsFullOuterJoins());
    facts.put("forward_only", metadata.supportsResultSetType(ResultSet.TYPE_FORWARD_ONLY));
    facts.put("converts", metadata.supportsConvert(Types.VARCHAR, Types.DATE));
  }

  /** Calls every getter without parameters, as tools do at connect; a gap in SqlInfo shows here. */
  private static List<String> brokenGetters(DatabaseMetaData metadata) throws Exception {
    List<String> broken = new ArrayList<>();
    for (Method method : DatabaseMetaData.class.getMethods()) {
      Class<?> type = method.getReturnType();
      if (method.getParameterCount() == 0 && (type.isPrimitive() || type == String.class)) {
        try {
          method.invoke(metadata);
        } catch (InvocationTargetException error) {
          broken.add(method.getName() + ": " + error.getCause());
        }
      }
    }
    return broken;
  }

  private interface Bind {
    void bind(PreparedStatement statement) throws SQLException;
  }

  /** Each value is bound where the statement gives the parameter its type, and compared with the same value written out. */
  private static Map<String, Object> parameters(Connection connection) throws SQLException {
    Timestamp stamp = Timestamp.valueOf("2024-05-01 12:34:56.789");
    Map<String, Bind> kinds = new LinkedHashMap<>();
    kinds.put("'Grüße 🦀 ''quoted'", statement -> statement.setString(1, "Grüße 🦀 'quoted"));
    kinds.put("CAST(-7 AS TINYINT)", statement -> statement.setByte(1, (byte) -7));
    kinds.put("CAST(300 AS SMALLINT)", statement -> statement.setShort(1, (short) 300));
    kinds.put("CAST(42 AS INT)", statement -> statement.setInt(1, 42));
    kinds.put("9007199254740993", statement -> statement.setLong(1, (1L << 53) + 1));
    kinds.put("CAST(0.5 AS REAL)", statement -> statement.setFloat(1, 0.5f));
    kinds.put("CAST(0.1 AS DOUBLE)", statement -> statement.setDouble(1, 0.1));
    kinds.put("CAST('true' AS BOOLEAN)", statement -> statement.setBoolean(1, true));
    kinds.put("CAST('1234567.89' AS DECIMAL(12,2))", statement -> statement.setBigDecimal(1, new BigDecimal("1234567.89")));
    kinds.put("DATE '2024-02-29'", statement -> statement.setDate(1, java.sql.Date.valueOf("2024-02-29")));
    kinds.put("TIME '12:34:56'", statement -> statement.setTime(1, Time.valueOf("12:34:56")));
    kinds.put("TIMESTAMP '2024-05-01 12:34:56.789'", statement -> statement.setTimestamp(1, stamp));
    String instant = "arrow_cast('2024-05-01T12:34:56.789Z', 'Timestamp(Microsecond, Some(\"+00:00\"))')";
    kinds.put(instant, statement -> statement.setTimestamp(1, stamp));
    kinds.put("CAST(1 AS BIGINT)", statement -> statement.setNull(1, Types.BIGINT));
    Map<String, Object> bound = new LinkedHashMap<>();
    for (Map.Entry<String, Bind> kind : kinds.entrySet()) {
      bound.put(kind.getKey(), bound(connection, "SELECT " + kind.getKey() + " = ? AS same", kind.getValue()));
    }
    // A cast tells the type; where nothing does, it is text.
    bound.put("CAST(? AS INT)", bound(connection, "SELECT CAST(? AS INT) AS x", statement -> statement.setInt(1, 42)));
    bound.put("? AS x", bound(connection, "SELECT ? AS x", statement -> statement.setString(1, "42")));
    return bound;
  }

  private static String bound(Connection connection, String sql, Bind bind) {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      bind.bind(statement);
      return rows(statement.executeQuery()).get(0).get(0);
    } catch (Throwable error) {
      return text(error);
    }
  }

  private static List<List<String>> filtered(Connection connection) throws SQLException {
    String sql = "SELECT count(*) FROM orders.order_events WHERE region = ? AND quantity > ?";
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      statement.setString(1, "EU");
      statement.setInt(2, 1);
      List<List<String>> first = rows(statement.executeQuery());
      // The same statement again, with other parameters.
      statement.setString(1, "nowhere");
      List<List<String>> both = new ArrayList<>(first);
      both.addAll(rows(statement.executeQuery()));
      return both;
    }
  }

  private void times(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet set = statement.executeQuery(TIMES)) {
      set.next();
      List<String> types = new ArrayList<>();
      for (int column = 1; column <= 3; column++) {
        types.add(set.getMetaData().getColumnTypeName(column));
      }
      facts.put("time_types", types);
      facts.put("instant_text", set.getString(1));
      facts.put("instant", set.getObject(1, Instant.class).toString());
      facts.put("local_text", set.getString(2));
      facts.put("local", set.getObject(2, LocalDateTime.class).toString());
      Calendar utc = Calendar.getInstance(TimeZone.getTimeZone("UTC"));
      facts.put("local_timestamp", set.getTimestamp(2, utc).toString());
      facts.put("day", set.getString(3) + " " + set.getDate(3));
    }
  }

  private void errors(Connection connection) {
    Map<String, String> statements =
        Map.of(
            "unparsable", "SELEKT 1",
            "no_column", "SELECT nothing FROM orders.order_events",
            "no_table", "SELECT * FROM orders.nowhere",
            "refused", "DROP TABLE x");
    statements.forEach(
        (name, sql) -> {
          try (Statement statement = connection.createStatement()) {
            statement.executeQuery(sql);
            facts.put(name, "no error");
          } catch (SQLException error) {
            facts.put(name, text(error));
          }
        });
    try (Statement statement = connection.createStatement()) {
      facts.put("set_is_an_update", !statement.execute("SET purpose = 'fraud'"));
      statement.execute("RESET purpose");
    } catch (SQLException error) {
      facts.putIfAbsent("set_is_an_update", text(error));
    }
  }

  private static List<String> labels(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet set = statement.executeQuery("SELECT order_id, amount AS total FROM orders.order_events LIMIT 1")) {
      ResultSetMetaData metadata = set.getMetaData();
      List<String> labels = new ArrayList<>();
      for (int column = 1; column <= metadata.getColumnCount(); column++) {
        labels.add(metadata.getColumnLabel(column) + " " + metadata.getColumnTypeName(column));
      }
      return labels;
    }
  }

  private static List<List<String>> rows(ResultSet set) throws SQLException {
    return rows(set, Integer.MAX_VALUE);
  }

  /** The rows, each with its first columns as text. */
  private static List<List<String>> rows(ResultSet set, int columns) throws SQLException {
    List<List<String>> rows = new ArrayList<>();
    try (set) {
      int width = Math.min(columns, set.getMetaData().getColumnCount());
      while (set.next()) {
        List<String> row = new ArrayList<>();
        for (int column = 1; column <= width; column++) {
          row.add(String.valueOf(set.getString(column)));
        }
        rows.add(row);
      }
    }
    return rows;
  }

  private static int count(ResultSet set) throws SQLException {
    int rows = 0;
    try (set) {
      while (set.next()) {
        rows++;
      }
    }
    return rows;
  }

  private static String text(Throwable error) {
    StringBuilder text = new StringBuilder(String.valueOf(error.getMessage()));
    for (Throwable cause = error.getCause(); cause != null; cause = cause.getCause()) {
      text.append(" <- ").append(cause.getMessage());
    }
    return text.toString();
  }

  private static String json(Object value) {
    if (value instanceof Map<?, ?> map) {
      StringJoiner members = new StringJoiner(",", "{", "}");
      map.forEach((key, member) -> members.add(json(key.toString()) + ":" + json(member)));
      return members.toString();
    }
    if (value instanceof List<?> list) {
      StringJoiner members = new StringJoiner(",", "[", "]");
      list.forEach(member -> members.add(json(member)));
      return members.toString();
    }
    if (value instanceof Number || value instanceof Boolean || value == null) {
      return String.valueOf(value);
    }
    StringBuilder text = new StringBuilder("\"");
    for (char letter : value.toString().toCharArray()) {
      if (letter == '"' || letter == '\\' || letter < ' ' || letter > '~') {
        text.append(String.format("\\u%04x", (int) letter));
      } else {
        text.append(letter);
      }
    }
    return text.append('"').toString();
  }
}
