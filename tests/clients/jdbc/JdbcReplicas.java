import java.net.Socket;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;

/**
 * The JDBC driver behind a balancer that hands each connection to another replica.
 *
 * <p>usage: JdbcReplicas HOST:PORT CONTROL USER (connecting to CONTROL cuts all connections)
 */
public class JdbcReplicas {
  static final String SQL = "SELECT customer_id FROM orders.order_events ORDER BY order_id LIMIT 20";
  static String control;

  public static void main(String[] args) {
    int code = 0;
    try {
      run(args);
    } catch (Throwable error) {
      error.printStackTrace();
      code = 1;
    }
    System.out.flush();
    // The driver's threads outlive a connection that was not closed.
    Runtime.getRuntime().halt(code);
  }

  static void run(String[] args) throws Exception {
    control = args[1];
    String url =
        "jdbc:arrow-flight-sql://" + args[0] + "/?useEncryption=false&user=" + args[2] + "&password=" + args[2];
    List<String> facts = new ArrayList<>();
    try (Connection connection = DriverManager.getConnection(url);
        Statement statement = connection.createStatement()) {
      again(() -> statement.executeUpdate("SET purpose = 'fraud'"));
      facts.add("\"set\": " + ask(connection, SQL, 4));
      cut();
      again(() -> statement.execute("SET schema = 'orders'"));
      String unqualified = SQL.replace("orders.", "");
      facts.add("\"unqualified\": " + ask(connection, unqualified, 2));
      List<String> prepared = new ArrayList<>();
      try (PreparedStatement query = again(() -> connection.prepareStatement(unqualified))) {
        for (int round = 0; round < 2; round++) {
          cut();
          prepared.add(again(() -> rows(query.executeQuery())));
        }
      }
      facts.add("\"prepared\": " + prepared);
      cut();
      again(() -> statement.executeUpdate("SET purpose = DEFAULT"));
      facts.add("\"taken_back\": " + ask(connection, SQL, 2));
    }
    System.out.println("{" + String.join(", ", facts) + "}");
  }

  static List<String> ask(Connection connection, String sql, int times) throws Exception {
    List<String> answers = new ArrayList<>();
    for (int round = 0; round < times; round++) {
      cut();
      answers.add(
          again(
              () -> {
                try (Statement statement = connection.createStatement()) {
                  return rows(statement.executeQuery(sql));
                }
              }));
    }
    return answers;
  }

  /** Rows of one column, as JSON. */
  static String rows(ResultSet rows) throws SQLException {
    List<String> all = new ArrayList<>();
    while (rows.next()) {
      all.add("[\"" + rows.getString(1) + "\"]");
    }
    return all.toString();
  }

  static void cut() throws Exception {
    String[] parts = control.split(":");
    try (Socket socket = new Socket(parts[0], Integer.parseInt(parts[1]))) {
      socket.getInputStream().readAllBytes();
    }
  }

  /** The call, once more if its connection was cut just then. */
  static <T> T again(Callable<T> call) throws Exception {
    for (int round = 0; round < 50; round++) {
      try {
        return call.call();
      } catch (SQLException | RuntimeException error) {
        String text = (String.valueOf(error) + error.getCause()).toLowerCase();
        if (!text.contains("unavailable") && !text.contains("channel closed") && !text.contains("reset")) {
          throw error;
        }
        Thread.sleep(50);
      }
    }
    return call.call();
  }
}
