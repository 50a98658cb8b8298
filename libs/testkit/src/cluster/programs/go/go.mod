module ambit.example/program

go 1.22
