# gnuplot endurance.gp: draws endurance.csv, which `cargo bench --bench endurance` prints.
set terminal svg size 960,900 font 'sans-serif,13' background '#ffffff'
set output 'endurance.svg'
set datafile separator ','
set multiplot layout 3,1
set grid
set key top right
set xlabel 'seconds: 62 of load, then 600 of mixed operations'
set ylabel 'operations a second'
set yrange [0:*]
plot 'endurance.csv' every ::1 using (strcol(1) eq "load" ? $2 : $2 + 62):3 with lines lc rgb '#1f5fa8' title 'sets, then all operations of two threads'
set ylabel 'p99.9, µs'
set logscale y
set yrange [10:100000]
plot '' every ::1 using (strcol(1) eq "load" ? $2 : $2 + 62):($5 > 0 ? $5 : NaN) with lines lc rgb '#b04a2f' title 'gets', \
     '' every ::1 using (strcol(1) eq "load" ? $2 : $2 + 62):7 with lines lc rgb '#3b7d4f' title 'sets'
unset logscale y
set ylabel 'MiB'
set yrange [0:2500]
plot '' every ::1 using (strcol(1) eq "load" ? $2 : $2 + 62):9 with lines lc rgb '#1f5fa8' title 'tables on disk', \
     '' every ::1 using (strcol(1) eq "load" ? $2 : $2 + 62):10 with lines lc rgb '#b04a2f' title 'memory of the process (budget 1024)'
