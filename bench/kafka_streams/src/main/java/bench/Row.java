package bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Kafka Streams: the newest state of each agent in an aggregate with RocksDB and changelog, at least once, as the
 * other rows keep it; or, for windows, the mean load of each agent in tumbling windows of ten seconds.
 */
public final class Row {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int MARKS = 12;

  private final JsonNode task;
  private final long events;
  private final CountDownLatch finished = new CountDownLatch(1);
  private long done;
  private long closed;
  private long next;

  private Row(JsonNode task) {
    this.task = task;
    this.events = task.get("events").asLong();
  }

  public static void main(String[] arguments) throws Exception {
    new Row(JSON.readTree(System.getenv("BENCH"))).run();
  }

  private void run() throws Exception {
    StreamsBuilder builder = new StreamsBuilder();
    var stream =
        builder.stream(task.get("topic").asText(), consumed())
            .peek((key, value) -> count())
            .groupByKey();
    if (windows()) {
      stream
          .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofSeconds(10), Duration.ofSeconds(5)))
          .aggregate(
              () -> new byte[0],
              (key, value, sum) -> add(value, sum),
              Materialized.<String, byte[], WindowStore<Bytes, byte[]>>as("windows")
                  .withKeySerde(Serdes.String())
                  .withValueSerde(Serdes.ByteArray()))
          .suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()))
          .toStream()
          .foreach((window, sum) -> closed++);
    } else {
      stream.aggregate(
          () -> new byte[0],
          (key, value, newest) -> newest(value),
          Materialized.<String, byte[], KeyValueStore<Bytes, byte[]>>as("newest")
              .withKeySerde(Serdes.String())
              .withValueSerde(Serdes.ByteArray()));
    }
    try (KafkaStreams streams = new KafkaStreams(builder.build(), settings())) {
      streams.setUncaughtExceptionHandler(
          error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
          });
      streams.start();
      finished.await();
      streams.close(Duration.ofSeconds(30));
    }
    mark();
  }

  private boolean windows() {
    return task.get("options").has("windows");
  }

  private Consumed<String, byte[]> consumed() {
    var consumed = Consumed.with(Serdes.String(), Serdes.ByteArray());
    return windows() ? consumed.withTimestampExtractor((record, before) -> eventTime(record.value())) : consumed;
  }

  private static long eventTime(Object value) {
    try {
      return (long) (JSON.readTree((byte[]) value).get("time").asDouble() * 1000);
    } catch (IOException error) {
      throw new IllegalStateException(error);
    }
  }

  private Properties settings() {
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, task.get("run").asText());
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, task.get("bootstrap").asText());
    settings.put(StreamsConfig.STATE_DIR_CONFIG, task.get("directory").asText());
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    return settings;
  }

  private static byte[] newest(byte[] value) {
    try {
      JsonNode event = JSON.readTree(value);
      var row = JSON.createArrayNode().add(event.get("seq")).add(event.get("time"));
      for (String name : new String[] {"current_load", "metrics", "progress"}) {
        if (event.has(name)) {
          row.add(event.get(name));
        }
      }
      return JSON.writeValueAsBytes(row);
    } catch (IOException error) {
      throw new IllegalStateException(error);
    }
  }

  private static byte[] add(byte[] value, byte[] sum) {
    try {
      double load = JSON.readTree(value).path("current_load").asDouble();
      String[] parts = sum.length == 0 ? new String[] {"0", "0"} : new String(sum, StandardCharsets.UTF_8).split(" ");
      long count = Long.parseLong(parts[0]) + 1;
      return (count + " " + (Double.parseDouble(parts[1]) + load)).getBytes(StandardCharsets.UTF_8);
    } catch (IOException error) {
      throw new IllegalStateException(error);
    }
  }

  private void count() {
    if (done == 0) {
      mark();
    }
    done++;
    if (done == next && done < events) {
      mark();
    }
    if (done == events) {
      finished.countDown();
    }
  }

  private void mark() {
    next = done + events / MARKS;
    var system = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
    System.out.printf(
        "BENCH {\"done\":%d,\"cpu\":%.6f,\"wall\":%.6f,\"rss\":%d%s}%n",
        done,
        system.getProcessCpuTime() / 1e9,
        System.nanoTime() / 1e9,
        peakMemory(),
        windows() ? ",\"closed\":" + closed : "");
  }

  private static long peakMemory() {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
        if (line.startsWith("VmHWM:")) {
          return 1024 * Long.parseLong(line.replaceAll("\\D", ""));
        }
      }
    } catch (IOException error) {
      // Not on Linux: what the heap has is the best that is known.
    }
    return Runtime.getRuntime().totalMemory();
  }
}
