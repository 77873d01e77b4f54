import java.io.File;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.connector.file.src.FileSource;
import org.apache.flink.connector.file.src.reader.TextLineInputFormat;
import org.apache.flink.core.fs.Path;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonFactory;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParser;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonToken;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;

/**
 * Tumbling windows over the reference events in Flink's DataStream, parallelism 1: a yardstick of the stream benchmark.
 *
 * Usage: FlinkWindows FILE. Count, sum, mean and exact p95 of latency_ms for each window of 10 s, route and model,
 * parsed with Jackson's streaming parser, the fastest that comes with Flink. Prints one JSON object; cpu_seconds is
 * that of the whole process, start-up included, so that two sizes give the marginal cost.
 */
public class FlinkWindows {
    public static class Event {
        public long ts;
        public String key;
        public double latency;
    }

    public static class Cell {
        public long count;
        public double sum;
        public double[] values = new double[64];
    }

    public static class Row {
        public long count;
        public double sum;
        public double mean;
        public double p95;
    }

    public static class Parse implements MapFunction<String, Event> {
        private static final JsonFactory FACTORY = new JsonFactory();

        @Override
        public Event map(String line) throws Exception {
            Event event = new Event();
            String route = null, model = null;
            try (JsonParser parser = FACTORY.createParser(line)) {
                parser.nextToken();
                while (parser.nextToken() != JsonToken.END_OBJECT) {
                    String name = parser.getCurrentName();
                    parser.nextToken();
                    switch (name) {
                        case "ts" -> event.ts = parser.getLongValue();
                        case "route" -> route = parser.getText();
                        case "model" -> model = parser.getText();
                        case "latency_ms" -> event.latency = parser.getDoubleValue();
                        default -> parser.skipChildren();
                    }
                }
            }
            event.key = route + "|" + model;
            return event;
        }
    }

    public static class Statistics implements AggregateFunction<Event, Cell, Row> {
        @Override
        public Cell createAccumulator() {
            return new Cell();
        }

        @Override
        public Cell add(Event event, Cell cell) {
            if (cell.count == cell.values.length) {
                cell.values = Arrays.copyOf(cell.values, cell.values.length * 2);
            }
            cell.values[(int) cell.count++] = event.latency;
            cell.sum += event.latency;
            return cell;
        }

        @Override
        public Row getResult(Cell cell) {
            double[] sorted = Arrays.copyOf(cell.values, (int) cell.count);
            Arrays.sort(sorted);
            Row row = new Row();
            row.count = cell.count;
            row.sum = cell.sum;
            row.mean = cell.sum / cell.count;
            row.p95 = sorted[(int) (0.95 * (cell.count - 1))];
            return row;
        }

        @Override
        public Cell merge(Cell a, Cell b) {
            for (int i = 0; i < b.count; i++) {
                Event event = new Event();
                event.latency = b.values[i];
                a = add(event, a);
            }
            return a;
        }
    }

    public static void main(String[] arguments) throws Exception {
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment();
        environment.setParallelism(1);
        environment.getConfig().enableObjectReuse();
        WatermarkStrategy<Event> times = WatermarkStrategy.<Event>forBoundedOutOfOrderness(Duration.ofSeconds(2))
            .withTimestampAssigner((event, before) -> event.ts);
        FileSource<String> source = FileSource.forRecordStreamFormat(
            new TextLineInputFormat(StandardCharsets.UTF_8.name()),
            Path.fromLocalFile(new File(arguments[0]))).build();
        long records = 0, windows = 0;
        double sum = 0;
        try (var rows = environment.fromSource(source, WatermarkStrategy.noWatermarks(), "events")
            .map(new Parse())
            .assignTimestampsAndWatermarks(times)
            .keyBy(event -> event.key)
            .window(TumblingEventTimeWindows.of(Duration.ofSeconds(10)))
            .aggregate(new Statistics())
            .executeAndCollect()) {
            while (rows.hasNext()) {
                Row row = rows.next();
                records += row.count;
                sum += row.sum;
                windows++;
            }
        }
        var system = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        System.out.println("{\"records\":" + records + ",\"sum\":" + sum + ",\"windows\":" + windows
            + ",\"cpu_seconds\":" + system.getProcessCpuTime() / 1e9 + "}");
        System.exit(0);
    }
}
