# gnuplot growth-cache.gp: draws growth-cache.csv, which `cargo bench --bench growth -- --cache` makes.
set terminal svg size 960,720 font 'sans-serif,13' background '#ffffff'
set output 'growth-cache.svg'
set datafile separator ','
set datafile columnheaders
set multiplot layout 2,2
set grid
set logscale x
set xrange [0.8:130]
set xtics (1, 3, 10, 30, 100)
set xlabel 'cache, percent of keys and values'
set key above maxcols 2 samplen 1.5
data = 'growth-cache.csv'
red = '#b04a2f'
green = '#3b7d4f'
gray = '#777777'

set ylabel 'gets a second'
set yrange [0:*]
set format y '%.0s%c'
plot data using 'cache_percent':'zipf_per_s' with linespoints pt 7 lc rgb green title 'Zipf', \
     '' using 'cache_percent':'uniform_per_s' with linespoints pt 7 lc rgb red title 'all keys alike'

set ylabel 'µs: p50, p99 (dashed), p99.9 (dotted)'
set format y '%g'
set logscale y
set yrange [0.1:1e4]
plot data using 'cache_percent':'zipf_p50_us' with linespoints pt 7 lc rgb green title 'Zipf', \
     '' using 'cache_percent':'zipf_p99_us' with linespoints pt 7 dt 2 lc rgb green notitle, \
     '' using 'cache_percent':'zipf_p999_us' with linespoints pt 7 dt 3 lc rgb green notitle, \
     '' using 'cache_percent':'uniform_p50_us' with linespoints pt 7 lc rgb red title 'all keys alike', \
     '' using 'cache_percent':'uniform_p99_us' with linespoints pt 7 dt 2 lc rgb red notitle, \
     '' using 'cache_percent':'uniform_p999_us' with linespoints pt 7 dt 3 lc rgb red notitle

unset logscale y
set ylabel 'blocks read from a file, for each get'
set yrange [0:1.1]
plot data using 'cache_percent':'zipf_blocks' with linespoints pt 7 lc rgb green title 'Zipf', \
     '' using 'cache_percent':'uniform_blocks' with linespoints pt 7 lc rgb red title 'all keys alike'

set ylabel 'MiB'
set logscale y
set yrange [1:1e4]
plot data using 'cache_percent':'peak_mib' with linespoints pt 7 lc rgb red title 'peak memory', \
     '' using 'cache_percent':'cache_mib' with linespoints pt 7 dt 2 lc rgb gray title 'the cache'
